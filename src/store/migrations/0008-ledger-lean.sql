-- Requests without the columns that no query looks at: the whole record has them. Sums are kept by their key, so that to
-- add to one is one search.

CREATE TABLE requests_lean (
  request_id TEXT NOT NULL PRIMARY KEY,
  start_ms BIGINT NOT NULL,
  team TEXT NOT NULL,
  key_name TEXT NOT NULL,
  user_name TEXT NOT NULL,
  model_asked TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
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
  error_reason TEXT NOT NULL,
  record BYTEA NOT NULL
);

INSERT INTO requests_lean
SELECT request_id, start_ms, team, key_name, user_name, model_asked, model, provider,
  input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, input_audio_tokens,
  output_tokens, reasoning_tokens, output_audio_tokens, cost_nano_usd, cost_known, latency_us,
  error_reason, record
FROM requests ORDER BY start_ms, request_id;

DROP TABLE requests;

ALTER TABLE requests_lean RENAME TO requests;

CREATE INDEX requests_by_time ON requests (start_ms, request_id);

CREATE INDEX requests_by_team ON requests (team, start_ms);

CREATE INDEX requests_by_key ON requests (key_name, start_ms);

CREATE TABLE usage_hours_lean (
  start_ms BIGINT NOT NULL,
  team TEXT NOT NULL,
  key_name TEXT NOT NULL,
  user_name TEXT NOT NULL,
  model_asked TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  requests BIGINT NOT NULL,
  errors BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  cache_read_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  input_audio_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  reasoning_tokens BIGINT NOT NULL,
  output_audio_tokens BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  unpriced_requests BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  PRIMARY KEY (start_ms, team, key_name, user_name, model_asked, model, provider)
) WITHOUT ROWID;

INSERT INTO usage_hours_lean SELECT * FROM usage_hours;

DROP TABLE usage_hours;

ALTER TABLE usage_hours_lean RENAME TO usage_hours;

CREATE INDEX usage_hours_by_team ON usage_hours (team, start_ms);

CREATE INDEX usage_hours_by_key ON usage_hours (key_name, start_ms);

CREATE TABLE usage_days_lean (
  start_ms BIGINT NOT NULL,
  team TEXT NOT NULL,
  key_name TEXT NOT NULL,
  user_name TEXT NOT NULL,
  model_asked TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  requests BIGINT NOT NULL,
  errors BIGINT NOT NULL,
  input_tokens BIGINT NOT NULL,
  cache_read_tokens BIGINT NOT NULL,
  cache_write_tokens BIGINT NOT NULL,
  input_audio_tokens BIGINT NOT NULL,
  output_tokens BIGINT NOT NULL,
  reasoning_tokens BIGINT NOT NULL,
  output_audio_tokens BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  unpriced_requests BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  PRIMARY KEY (start_ms, team, key_name, user_name, model_asked, model, provider)
) WITHOUT ROWID;

INSERT INTO usage_days_lean SELECT * FROM usage_days;

DROP TABLE usage_days;

ALTER TABLE usage_days_lean RENAME TO usage_days;

CREATE INDEX usage_days_by_team ON usage_days (team, start_ms);

CREATE INDEX usage_days_by_key ON usage_days (key_name, start_ms);

CREATE TABLE key_usage_lean (
  key_name TEXT NOT NULL PRIMARY KEY,
  last_used_ms BIGINT NOT NULL
) WITHOUT ROWID;

INSERT INTO key_usage_lean SELECT * FROM key_usage;

DROP TABLE key_usage;

ALTER TABLE key_usage_lean RENAME TO key_usage;
