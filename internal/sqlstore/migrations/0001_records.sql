-- The six kinds of record. Times are milliseconds since 1970-01-01 UTC, NULL
-- stands for never. Lists and raw JSON are JSON text. What a word in a comment
-- stands for is the business of the dialect (see schema.go).

CREATE TABLE users (
    id          TEXT /*bytewise*/ NOT NULL PRIMARY KEY,
    version     BIGINT NOT NULL,
    email       TEXT NOT NULL,
    email_key   TEXT /*bytewise*/ UNIQUE, -- NULL: no address leads to the user
    name        TEXT NOT NULL,
    roles       TEXT NOT NULL, -- a list
    keys        TEXT NOT NULL, -- a list, the same as the rows of user_keys
    credentials TEXT NOT NULL, -- a list of objects
    epoch       BIGINT NOT NULL,
    disabled_at BIGINT,
    created_at  BIGINT,
    updated_at  BIGINT,
    extra       TEXT
) /*clustered*/;

-- What makes a key unique among all users. Who reads a user finds the keys in
-- the row of the user.
CREATE TABLE user_keys (
    key     TEXT /*bytewise*/ NOT NULL PRIMARY KEY,
    user_id TEXT /*bytewise*/ NOT NULL REFERENCES users (id) ON DELETE CASCADE
) /*clustered*/;

CREATE INDEX user_keys_user ON user_keys (user_id);

-- Sessions outlive their user until they are swept, so there is no foreign key.
CREATE TABLE sessions (
    id               TEXT /*bytewise*/ NOT NULL PRIMARY KEY,
    version          BIGINT NOT NULL,
    user_id          TEXT /*bytewise*/ NOT NULL,
    epoch            BIGINT NOT NULL,
    generation       BIGINT NOT NULL,
    rotated_at       BIGINT,
    created_at       BIGINT,
    authenticated_at BIGINT,
    last_seen_at     BIGINT,
    methods          TEXT NOT NULL, -- a list
    inactive_at      BIGINT,
    ends_at          BIGINT,
    terminated_at    BIGINT,
    expires_at       BIGINT,
    user_agent       TEXT NOT NULL,
    address          TEXT NOT NULL,
    extra            TEXT
) /*clustered*/;

CREATE INDEX sessions_user ON sessions (user_id, created_at, id) WHERE terminated_at IS NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at);

CREATE TABLE challenges (
    id         TEXT /*bytewise*/ NOT NULL PRIMARY KEY,
    version    BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    attempts   BIGINT NOT NULL,
    data       TEXT,
    created_at BIGINT,
    expires_at BIGINT
) /*clustered*/;

CREATE INDEX challenges_expiry ON challenges (expires_at);

CREATE TABLE events (
    id         TEXT /*bytewise*/ NOT NULL PRIMARY KEY,
    at         BIGINT,
    kind       TEXT /*bytewise*/ NOT NULL,
    outcome    TEXT NOT NULL,
    user_id    TEXT /*bytewise*/ NOT NULL,
    actor_id   TEXT NOT NULL,
    session_id TEXT NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    ref        TEXT NOT NULL,
    data       TEXT, -- an object of strings
    expires_at BIGINT
) /*clustered*/;

CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_user_kind ON events (user_id, kind, id);
CREATE INDEX events_kind ON events (kind, id);
CREATE INDEX events_expiry ON events (expires_at);

-- BYTEA is the PostgreSQL name; SQLite keeps a blob as it is under any name.
CREATE TABLE settings (
    name       TEXT /*bytewise*/ NOT NULL PRIMARY KEY,
    version    BIGINT NOT NULL,
    value      BYTEA,
    updated_at BIGINT
) /*clustered*/;

CREATE TABLE tasks (
    id           TEXT /*bytewise*/ NOT NULL PRIMARY KEY,
    version      BIGINT NOT NULL,
    kind         TEXT /*bytewise*/ NOT NULL,
    data         TEXT,
    attempts     BIGINT NOT NULL,
    due_at       BIGINT,
    leased_until BIGINT,
    created_at   BIGINT,
    expires_at   BIGINT
) /*clustered*/;

CREATE INDEX tasks_due ON tasks (due_at, id);
CREATE INDEX tasks_expiry ON tasks (expires_at);

-- One row, written to see whether the database can be written to.
CREATE TABLE gatehouse_probe (
    id      BIGINT NOT NULL PRIMARY KEY,
    counter BIGINT NOT NULL
);

INSERT INTO gatehouse_probe (id, counter) VALUES (1, 0);
