-- Two Teams may have had one name within an hour; each has its own statement.
CREATE TABLE statements_by_uid (
    sequence BIGINT PRIMARY KEY,
    hour BIGINT NOT NULL,
    team TEXT NOT NULL,
    uid TEXT NOT NULL,
    statement TEXT NOT NULL,
    UNIQUE (hour, uid)
);
INSERT INTO statements_by_uid (sequence, hour, team, uid, statement)
    SELECT sequence, hour, team, team, statement FROM statements;
DROP TABLE statements;
ALTER TABLE statements_by_uid RENAME TO statements;
