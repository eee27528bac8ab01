//! One health script: a stranger's program, run as Argo CD runs it, within bounds.
//!
//! LuaJIT without its compiler, because the hook that ends a script in time does not fire in compiled code. Of the libraries
//! a script has what Argo CD's sandbox gives: base, `table`, `os.time` and `os.date`; what loads code or reads files is
//! taken away.

use std::time::{Duration, Instant};

use mlua::{HookTriggers, Lua, LuaOptions, LuaSerdeExt as _, StdLib, Table, Value as LuaValue, VmState};
use serde_json::Value;

use crate::{Health, Level};

/// The longest that a script may run (Argo CD's bound).
const TIME: Duration = Duration::from_secs(1);
/// Bytes that a script may hold.
const MEMORY: usize = 16 * 1024 * 1024;
/// Bytes of the message that is kept.
const MESSAGE: usize = 64 * 1024;
/// How often it is looked whether the time is over, in instructions.
const LOOK: u32 = 10_000;
/// What loads code, reads files, or reaches out of the script.
const CLOSED: [&str; 11] = [
    "load",
    "loadstring",
    "loadfile",
    "dofile",
    "require",
    "module",
    "package",
    "collectgarbage",
    "newproxy",
    "print",
    "jit",
];

/// A script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its text.
    pub text: String,
    /// Whether it may use `string` and `math` too (Argo CD's `useOpenLibs`).
    pub open_libraries: bool,
}

/// Why a script tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum LuaError {
    /// It is no Lua, or failed while it ran.
    #[error("the health script failed: {0}")]
    Failed(String),
    /// It gives something else than a table.
    #[error("the health script gives {0}; it must return a table with status and message")]
    NoTable(&'static str),
    /// Its status is none of Argo CD's words.
    #[error(
        "the health script gives the status `{0}`; write Healthy, Progressing, Degraded, Suspended, Missing or Unknown"
    )]
    NoStatus(String),
}

impl From<mlua::Error> for LuaError {
    fn from(error: mlua::Error) -> Self {
        // The first line says what; the rest is a trace through our own code.
        Self::Failed(error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

impl Script {
    /// A script with what Argo CD's sandbox gives.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), open_libraries: false }
    }

    /// What the script says of an object.
    ///
    /// # Errors
    /// [`LuaError`]; whoever shows it takes the health for Unknown.
    pub fn assess(&self, object: &Value) -> Result<Health, LuaError> {
        let lua = self.sandbox()?;
        let options = mlua::serde::SerializeOptions::new()
            .set_array_metatable(false)
            .serialize_none_to_null(false)
            .serialize_unit_to_null(false);
        lua.globals().set("obj", lua.to_value_with(object, options)?)?;
        let end = Instant::now() + TIME;
        let over = || mlua::Error::runtime(format!("it ran longer than {} s", TIME.as_secs()));
        lua.set_hook(HookTriggers::new().every_nth_instruction(LOOK), move |lua, _| {
            if Instant::now() < end {
                return Ok(VmState::Continue);
            }
            // From now on at every instruction: a script that catches the error meets it again outside.
            lua.set_hook(HookTriggers::new().every_nth_instruction(1), move |_, _| Err(over()))?;
            Err(over())
        })?;
        let given: LuaValue =
            lua.load(&self.text).set_name("=health.lua").set_mode(mlua::chunk::ChunkMode::Text).eval()?;
        let LuaValue::Table(table) = given else { return Err(LuaError::NoTable(given.type_name())) };
        health(&table)
    }

    fn sandbox(&self) -> Result<Lua, LuaError> {
        let mut libraries = StdLib::TABLE | StdLib::OS | StdLib::JIT;
        if self.open_libraries {
            libraries = libraries | StdLib::STRING | StdLib::MATH;
        }
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        lua.set_memory_limit(MEMORY)?;
        let globals = lua.globals();
        let jit: Table = globals.get("jit")?;
        jit.get::<mlua::Function>("off")?.call::<()>(())?;
        let (all, some): (Table, Table) = (globals.get("os")?, lua.create_table()?);
        for name in ["time", "date", "clock"] {
            some.set(name, all.get::<LuaValue>(name)?)?;
        }
        globals.set("os", some)?;
        for name in CLOSED {
            globals.set(name, LuaValue::Nil)?;
        }
        if self.open_libraries {
            let string: Table = globals.get("string")?;
            // Bytecode is not checked before it runs.
            string.set("dump", LuaValue::Nil)?;
        }
        Ok(lua)
    }
}

fn health(table: &Table) -> Result<Health, LuaError> {
    let text = |key: &str| {
        table.get::<Option<mlua::LuaString>>(key).map(|text| text.map(|text| text.to_string_lossy()))
    };
    let status = text("status")?.unwrap_or_default();
    let level = Level::parse(&status).ok_or_else(|| LuaError::NoStatus(status.chars().take(50).collect()))?;
    let mut message = text("message")?.unwrap_or_default();
    if message.len() > MESSAGE {
        let end = (0..=MESSAGE).rev().find(|at| message.is_char_boundary(*at)).unwrap_or_default();
        message.truncate(end);
    }
    Ok(Health::new(level, message))
}

#[cfg(test)]
mod tests;
