//! Cost per team and hour, exact to the nano-dollar.

fn main() {}
