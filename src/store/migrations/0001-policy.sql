-- What the mesh may do: resources, the history of their changes, and which key has which secret.
-- All names compare byte by byte: SQLite does so by itself, Postgres with COLLATE "C".

CREATE TABLE installation (
  key TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
);

-- One row. Each write locks it first, so revisions and sequences rise without gaps.
CREATE TABLE counters (
  id INTEGER NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  sequence BIGINT NOT NULL
);

INSERT INTO counters (id, revision, sequence) VALUES (1, 0, 0);

CREATE TABLE resources (
  name TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  etag TEXT NOT NULL,
  revision BIGINT NOT NULL,
  create_ms BIGINT NOT NULL,
  update_ms BIGINT NOT NULL
);

CREATE INDEX resources_by_kind ON resources (kind, name);

CREATE TABLE key_secrets (
  sha256_hex TEXT NOT NULL PRIMARY KEY,
  key_name TEXT NOT NULL
);

CREATE INDEX key_secrets_by_key ON key_secrets (key_name);

-- before_revision and before_ms belong to the body before; create_ms to the resource as such.
CREATE TABLE changes (
  sequence BIGINT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  body_before TEXT,
  before_revision BIGINT,
  before_ms BIGINT,
  body_after TEXT,
  create_ms BIGINT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  request_id TEXT NOT NULL,
  at_ms BIGINT NOT NULL
);

CREATE INDEX changes_by_revision ON changes (revision);

CREATE INDEX changes_by_name ON changes (name, sequence);

CREATE TABLE commits (
  request_id TEXT NOT NULL PRIMARY KEY,
  revision BIGINT NOT NULL,
  at_ms BIGINT NOT NULL
);
