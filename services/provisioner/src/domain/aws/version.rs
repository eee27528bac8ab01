//! Engine versions: `15`, `15.8`, `7.1.0`.

use crate::domain::model::Engine;

/// A version as numbers; what is not written is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Before the first point.
    pub major: u32,
    /// Between the points, if written.
    pub minor: Option<u32>,
}

impl Version {
    /// Reads `major[.minor[.more]]`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().map(str::parse).transpose().ok()?;
        Some(Self { major, minor })
    }

    /// Whether a server of this version answers a wish for `wanted`: same major, minor not older.
    /// AWS raises minors by itself.
    pub fn satisfies(self, wanted: Self) -> bool {
        self.major == wanted.major
            && wanted.minor.is_none_or(|minor| self.minor.is_some_and(|own| own >= minor))
    }
}

/// The version that ElastiCache is asked for: it takes no bare major. None: it does not offer it.
pub fn cache_engine_version(engine: Engine, wanted: &str) -> Option<String> {
    let version = Version::parse(wanted)?;
    let minor = match (engine, version.major, version.minor) {
        // The last Redis that ElastiCache offers is 7.1; later ones are Valkey there.
        (Engine::Redis, 7, None) => 1,
        (Engine::Redis, 7, Some(minor)) if minor <= 1 => minor,
        (Engine::Redis, 6, None) => 2,
        (Engine::Redis, 6, Some(minor)) => minor,
        (Engine::Redis, _, _) => return None,
        (Engine::Valkey, 7, None) => 2,
        (Engine::Valkey, major, minor) if major >= 7 => minor.unwrap_or(0),
        (Engine::Valkey | Engine::Postgres, _, _) => return None,
    };
    Some(format!("{}.{minor}", version.major))
}
