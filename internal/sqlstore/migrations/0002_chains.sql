-- Events are links of chains. What is added has a default, so that a program of
-- schema 1 that is still running goes on appending: its events have no chain.
-- proof is looked at by nobody but those who verify, and has no index.

ALTER TABLE events ADD COLUMN chain TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN sequence BIGINT NOT NULL DEFAULT 0;
ALTER TABLE events ADD COLUMN proof BYTEA;
