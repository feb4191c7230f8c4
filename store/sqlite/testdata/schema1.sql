PRAGMA application_id = 1198803059;
BEGIN TRANSACTION;
CREATE TABLE challenges (
    id         TEXT  NOT NULL PRIMARY KEY,
    version    BIGINT NOT NULL,
    kind       TEXT NOT NULL,
    user_id    TEXT NOT NULL,
    attempts   BIGINT NOT NULL,
    data       TEXT,
    created_at BIGINT,
    expires_at BIGINT
)  WITHOUT ROWID;
CREATE TABLE events (
    id         TEXT  NOT NULL PRIMARY KEY,
    at         BIGINT,
    kind       TEXT  NOT NULL,
    outcome    TEXT NOT NULL,
    user_id    TEXT  NOT NULL,
    actor_id   TEXT NOT NULL,
    session_id TEXT NOT NULL,
    address    TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    ref        TEXT NOT NULL,
    data       TEXT, -- an object of strings
    expires_at BIGINT
)  WITHOUT ROWID;
INSERT INTO "events" VALUES('01a210da-82d1-7bde-9343-3bf35303c022',1795579085521,'register','ok','01a210da-82d1-71f4-a4f9-4f0124138262','operator','','','','',NULL,1803355085521);
INSERT INTO "events" VALUES('01a210da-82dd-7d8a-978a-6c2984d24f86',1795579085533,'user_disabled','ok','01a210da-82d1-71f4-a4f9-4f0124138262','operator','','','','',NULL,1803355085533);
INSERT INTO "events" VALUES('01a210da-82ea-7df2-8eb7-4db91880f0a8',1795579085546,'user_enabled','ok','01a210da-82d1-71f4-a4f9-4f0124138262','operator','','','','',NULL,1803355085546);
CREATE TABLE gatehouse_probe (
    id      BIGINT NOT NULL PRIMARY KEY,
    counter BIGINT NOT NULL
);
INSERT INTO "gatehouse_probe" VALUES(1,0);
CREATE TABLE gatehouse_schema (id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL);
INSERT INTO "gatehouse_schema" VALUES(1,1);
CREATE TABLE sessions (
    id               TEXT  NOT NULL PRIMARY KEY,
    version          BIGINT NOT NULL,
    user_id          TEXT  NOT NULL,
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
)  WITHOUT ROWID;
CREATE TABLE settings (
    name       TEXT  NOT NULL PRIMARY KEY,
    version    BIGINT NOT NULL,
    value      BYTEA,
    updated_at BIGINT
)  WITHOUT ROWID;
CREATE TABLE tasks (
    id           TEXT  NOT NULL PRIMARY KEY,
    version      BIGINT NOT NULL,
    kind         TEXT  NOT NULL,
    data         TEXT,
    attempts     BIGINT NOT NULL,
    due_at       BIGINT,
    leased_until BIGINT,
    created_at   BIGINT,
    expires_at   BIGINT
)  WITHOUT ROWID;
CREATE TABLE user_keys (
    key     TEXT  NOT NULL PRIMARY KEY,
    user_id TEXT  NOT NULL REFERENCES users (id) ON DELETE CASCADE
)  WITHOUT ROWID;
CREATE TABLE users (
    id          TEXT  NOT NULL PRIMARY KEY,
    version     BIGINT NOT NULL,
    email       TEXT NOT NULL,
    email_key   TEXT  UNIQUE, -- NULL: no address leads to the user
    name        TEXT NOT NULL,
    roles       TEXT NOT NULL, -- a list
    keys        TEXT NOT NULL, -- a list, the same as the rows of user_keys
    credentials TEXT NOT NULL, -- a list of objects
    epoch       BIGINT NOT NULL,
    disabled_at BIGINT,
    created_at  BIGINT,
    updated_at  BIGINT,
    extra       TEXT
)  WITHOUT ROWID;
INSERT INTO "users" VALUES('01a210da-82d1-71f4-a4f9-4f0124138262',3,'Ann@Example.com','ann@example.com','Ann Example','["editor"]','[]','[{"id":"01a210da-82d1-750d-a564-f21bb1da53a5","kind":"password","hash":"$argon2id$v=19$m=64,t=1,p=1$vBZA6XUQMhb1Galp4KNzrw$FucwhFwL5O1rw+6doAsM7tv8dtnz5uLgRAdwaD+ETvU","created_at":"2026-11-25T03:58:05.521Z","changed_at":"2026-11-25T03:58:05.521Z"}]',1,NULL,1795579085521,1795579085548,NULL);
CREATE INDEX user_keys_user ON user_keys (user_id);
CREATE INDEX sessions_user ON sessions (user_id, created_at, id) WHERE terminated_at IS NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at);
CREATE INDEX challenges_expiry ON challenges (expires_at);
CREATE INDEX events_user ON events (user_id, id);
CREATE INDEX events_user_kind ON events (user_id, kind, id);
CREATE INDEX events_kind ON events (kind, id);
CREATE INDEX events_expiry ON events (expires_at);
CREATE INDEX tasks_due ON tasks (due_at, id);
CREATE INDEX tasks_expiry ON tasks (expires_at);
COMMIT;
