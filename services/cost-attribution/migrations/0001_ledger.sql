-- Written for SQLite and PostgreSQL alike. Times are milliseconds since 1970-01-01T00:00Z, money is
-- billionths of a US dollar, lists are JSON text. A version is applied once and never edited.

-- origin: when metering of this store began. closed: the last hour that is final.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- The ledger: what is known about when things ran. One row per uid; names are used again.
CREATE TABLE pods (
    uid TEXT PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    node TEXT NOT NULL,
    controller TEXT NOT NULL,
    started BIGINT NOT NULL,
    ended BIGINT,
    requests TEXT NOT NULL
);
CREATE INDEX pods_by_name ON pods (namespace, name);
CREATE INDEX pods_by_end ON pods (ended);

CREATE TABLE nodes (
    uid TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    pool TEXT NOT NULL,
    started BIGINT NOT NULL,
    ended BIGINT,
    states TEXT NOT NULL
);

CREATE TABLE namespaces (
    uid TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    started BIGINT NOT NULL,
    states TEXT NOT NULL
);

CREATE TABLE claims (
    uid TEXT PRIMARY KEY,
    namespace TEXT NOT NULL,
    ended BIGINT
);

CREATE TABLE sheets (
    name TEXT PRIMARY KEY,
    spec TEXT NOT NULL
);

-- Teams whose namespaces are metered. `version` and `event` are of the fact that changed the row last.
CREATE TABLE metering (
    uid TEXT PRIMARY KEY,
    team TEXT NOT NULL,
    cost_center TEXT NOT NULL,
    namespaces TEXT NOT NULL,
    started BIGINT NOT NULL,
    ended BIGINT,
    version BIGINT NOT NULL,
    event TEXT NOT NULL
);

-- Closed hours. A row here means that shares, totals, statements and facts of the hour are final.
CREATE TABLE hours (
    hour BIGINT PRIMARY KEY,
    cpu BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    gpu BIGINT NOT NULL,
    closed BIGINT NOT NULL
);

CREATE TABLE shares (
    hour BIGINT NOT NULL,
    position BIGINT NOT NULL,
    team TEXT NOT NULL,
    namespace TEXT NOT NULL,
    share TEXT NOT NULL,
    PRIMARY KEY (hour, position)
);
CREATE INDEX shares_by_team ON shares (team, hour);

CREATE TABLE totals (
    hour BIGINT NOT NULL,
    team TEXT NOT NULL,
    namespace TEXT NOT NULL,
    cost_center TEXT NOT NULL,
    cpu BIGINT NOT NULL,
    memory BIGINT NOT NULL,
    gpu BIGINT NOT NULL,
    unpriced BIGINT NOT NULL,
    PRIMARY KEY (hour, team, namespace)
);

CREATE TABLE statements (
    sequence BIGINT PRIMARY KEY,
    hour BIGINT NOT NULL,
    team TEXT NOT NULL,
    statement TEXT NOT NULL,
    UNIQUE (hour, team)
);

CREATE TABLE outbox (
    sequence BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    fact TEXT NOT NULL
);
