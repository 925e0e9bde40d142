-- What requests have cost: one row a request, written once.

CREATE TABLE requests (
  request_id TEXT NOT NULL PRIMARY KEY,
  start_ms BIGINT NOT NULL,
  kind INTEGER NOT NULL,
  door TEXT NOT NULL,
  stream INTEGER NOT NULL,
  team TEXT NOT NULL,
  key_name TEXT NOT NULL,
  user_name TEXT NOT NULL,
  model_asked TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  upstream_model TEXT NOT NULL,
  input_tokens BIGINT NOT NULL,
  cache_read_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  cache_write_1h_tokens BIGINT NOT NULL,
  input_audio_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  reasoning_tokens BIGINT NOT NULL,
  output_audio_tokens BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  cost_known INTEGER NOT NULL,
  latency_us BIGINT NOT NULL,
  first_token_us BIGINT,
  finish_reason TEXT NOT NULL,
  error_reason TEXT NOT NULL,
  cache TEXT NOT NULL,
  policy_revision BIGINT NOT NULL,
  proxy_id TEXT NOT NULL,
  record BYTEA NOT NULL
);

CREATE INDEX requests_by_time ON requests (start_ms, request_id);

CREATE INDEX requests_by_team ON requests (team, start_ms);

CREATE INDEX requests_by_key ON requests (key_name, start_ms);

-- The time is the request's own: with it, one index answers a label within a span of time, newest first.
CREATE TABLE request_labels (
  request_id TEXT NOT NULL,
  label_key TEXT NOT NULL,
  label_value TEXT NOT NULL,
  start_ms BIGINT NOT NULL,
  PRIMARY KEY (request_id, label_key)
);

CREATE INDEX request_labels_by_value
  ON request_labels (label_key, label_value, start_ms, request_id);

CREATE TABLE key_usage (
  key_name TEXT NOT NULL PRIMARY KEY,
  last_used_ms BIGINT NOT NULL
);
