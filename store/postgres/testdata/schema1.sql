CREATE SCHEMA gatehouse;

CREATE TABLE gatehouse.challenges (
    id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    kind text NOT NULL,
    user_id text NOT NULL,
    attempts bigint NOT NULL,
    data text,
    created_at bigint,
    expires_at bigint
);

CREATE TABLE gatehouse.events (
    id text NOT NULL COLLATE pg_catalog."C",
    at bigint,
    kind text NOT NULL COLLATE pg_catalog."C",
    outcome text NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    actor_id text NOT NULL,
    session_id text NOT NULL,
    address text NOT NULL,
    user_agent text NOT NULL,
    ref text NOT NULL,
    data text,
    expires_at bigint
);

CREATE TABLE gatehouse.gatehouse_probe (
    id bigint NOT NULL,
    counter bigint NOT NULL
);

CREATE TABLE gatehouse.gatehouse_schema (
    id bigint NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE gatehouse.sessions (
    id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    user_id text NOT NULL COLLATE pg_catalog."C",
    epoch bigint NOT NULL,
    generation bigint NOT NULL,
    rotated_at bigint,
    created_at bigint,
    authenticated_at bigint,
    last_seen_at bigint,
    methods text NOT NULL,
    inactive_at bigint,
    ends_at bigint,
    terminated_at bigint,
    expires_at bigint,
    user_agent text NOT NULL,
    address text NOT NULL,
    extra text
);

CREATE TABLE gatehouse.settings (
    name text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    value bytea,
    updated_at bigint
);

CREATE TABLE gatehouse.tasks (
    id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    data text,
    attempts bigint NOT NULL,
    due_at bigint,
    leased_until bigint,
    created_at bigint,
    expires_at bigint
);

CREATE TABLE gatehouse.user_keys (
    key text NOT NULL COLLATE pg_catalog."C",
    user_id text NOT NULL COLLATE pg_catalog."C"
);

CREATE TABLE gatehouse.users (
    id text NOT NULL COLLATE pg_catalog."C",
    version bigint NOT NULL,
    email text NOT NULL,
    email_key text COLLATE pg_catalog."C",
    name text NOT NULL,
    roles text NOT NULL,
    keys text NOT NULL,
    credentials text NOT NULL,
    epoch bigint NOT NULL,
    disabled_at bigint,
    created_at bigint,
    updated_at bigint,
    extra text
);

INSERT INTO gatehouse.events VALUES ('01a210da-82d1-7bde-9343-3bf35303c022', 1795579085521, 'register', 'ok', '01a210da-82d1-71f4-a4f9-4f0124138262', 'operator', '', '', '', '', NULL, 1803355085521);
INSERT INTO gatehouse.events VALUES ('01a210da-82dd-7d8a-978a-6c2984d24f86', 1795579085533, 'user_disabled', 'ok', '01a210da-82d1-71f4-a4f9-4f0124138262', 'operator', '', '', '', '', NULL, 1803355085533);
INSERT INTO gatehouse.events VALUES ('01a210da-82ea-7df2-8eb7-4db91880f0a8', 1795579085546, 'user_enabled', 'ok', '01a210da-82d1-71f4-a4f9-4f0124138262', 'operator', '', '', '', '', NULL, 1803355085546);

INSERT INTO gatehouse.gatehouse_probe VALUES (1, 0);

INSERT INTO gatehouse.gatehouse_schema VALUES (1, 1);

INSERT INTO gatehouse.users VALUES ('01a210da-82d1-71f4-a4f9-4f0124138262', 3, 'Ann@Example.com', 'ann@example.com', 'Ann Example', '["editor"]', '[]', '[{"id":"01a210da-82d1-750d-a564-f21bb1da53a5","kind":"password","hash":"$argon2id$v=19$m=64,t=1,p=1$vBZA6XUQMhb1Galp4KNzrw$FucwhFwL5O1rw+6doAsM7tv8dtnz5uLgRAdwaD+ETvU","created_at":"2026-11-25T03:58:05.521Z","changed_at":"2026-11-25T03:58:05.521Z"}]', 1, NULL, 1795579085521, 1795579085548, NULL);

ALTER TABLE ONLY gatehouse.challenges
    ADD CONSTRAINT challenges_pkey PRIMARY KEY (id);

ALTER TABLE ONLY gatehouse.events
    ADD CONSTRAINT events_pkey PRIMARY KEY (id);

ALTER TABLE ONLY gatehouse.gatehouse_probe
    ADD CONSTRAINT gatehouse_probe_pkey PRIMARY KEY (id);

ALTER TABLE ONLY gatehouse.gatehouse_schema
    ADD CONSTRAINT gatehouse_schema_pkey PRIMARY KEY (id);

ALTER TABLE ONLY gatehouse.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE ONLY gatehouse.settings
    ADD CONSTRAINT settings_pkey PRIMARY KEY (name);

ALTER TABLE ONLY gatehouse.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);

ALTER TABLE ONLY gatehouse.user_keys
    ADD CONSTRAINT user_keys_pkey PRIMARY KEY (key);

ALTER TABLE ONLY gatehouse.users
    ADD CONSTRAINT users_email_key_key UNIQUE (email_key);

ALTER TABLE ONLY gatehouse.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

CREATE INDEX challenges_expiry ON gatehouse.challenges USING btree (expires_at);

CREATE INDEX events_expiry ON gatehouse.events USING btree (expires_at);

CREATE INDEX events_kind ON gatehouse.events USING btree (kind, id);

CREATE INDEX events_user ON gatehouse.events USING btree (user_id, id);

CREATE INDEX events_user_kind ON gatehouse.events USING btree (user_id, kind, id);

CREATE INDEX sessions_expiry ON gatehouse.sessions USING btree (expires_at);

CREATE INDEX sessions_user ON gatehouse.sessions USING btree (user_id, created_at, id) WHERE (terminated_at IS NULL);

CREATE INDEX tasks_due ON gatehouse.tasks USING btree (due_at, id);

CREATE INDEX tasks_expiry ON gatehouse.tasks USING btree (expires_at);

CREATE INDEX user_keys_user ON gatehouse.user_keys USING btree (user_id);

ALTER TABLE ONLY gatehouse.user_keys
    ADD CONSTRAINT user_keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES gatehouse.users(id) ON DELETE CASCADE;
