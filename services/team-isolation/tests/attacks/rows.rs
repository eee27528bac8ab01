//! The list is whole: 92 rows, each in exactly one family.

use crate::{control_plane, host, network, quota, rights, scheduling, storage};

#[test]
fn every_row_of_the_list_belongs_to_one_family() {
    let families: [(&str, usize, &[&str]); 7] = [
        ("W", 12, &host::ROWS),
        ("S", 18, &scheduling::ROWS),
        ("Q", 13, &quota::ROWS),
        ("R", 19, &rights::ROWS),
        ("N", 14, &network::ROWS),
        ("V", 7, &storage::ROWS),
        ("C", 9, &control_plane::ROWS),
    ];
    let mut total = 0;
    for (letter, count, rows) in families {
        let wanted: Vec<_> = (1..=count).map(|number| format!("{letter}{number}")).collect();
        assert_eq!(rows.to_vec(), wanted, "family {letter}");
        total += count;
    }
    assert_eq!(total, 92);
}
