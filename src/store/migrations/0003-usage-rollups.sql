-- Sums of the ledger by hour and by day, so that a year is added up from days and not from requests. They are kept by
-- the transaction that appends the requests, and stay when those are deleted.

CREATE TABLE usage_hours (
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
);

CREATE INDEX usage_hours_by_team ON usage_hours (team, start_ms);

CREATE INDEX usage_hours_by_key ON usage_hours (key_name, start_ms);

CREATE TABLE usage_days (
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
);

CREATE INDEX usage_days_by_team ON usage_days (team, start_ms);

CREATE INDEX usage_days_by_key ON usage_days (key_name, start_ms);

INSERT INTO usage_hours
SELECT (start_ms / 3600000) * 3600000, team, key_name, user_name, model_asked, model, provider,
  COUNT(*), SUM(CASE WHEN error_reason <> '' THEN 1 ELSE 0 END),
  SUM(input_tokens), SUM(cache_read_tokens), SUM(cache_write_tokens + cache_write_1h_tokens),
  SUM(input_audio_tokens), SUM(output_tokens), SUM(reasoning_tokens), SUM(output_audio_tokens),
  SUM(cost_nano_usd), SUM(CASE WHEN cost_known = 0 THEN 1 ELSE 0 END), SUM(latency_us)
FROM requests
GROUP BY 1, 2, 3, 4, 5, 6, 7;

INSERT INTO usage_days
SELECT (start_ms / 86400000) * 86400000, team, key_name, user_name, model_asked, model, provider,
  SUM(requests), SUM(errors),
  SUM(input_tokens), SUM(cache_read_tokens), SUM(cache_write_tokens),
  SUM(input_audio_tokens), SUM(output_tokens), SUM(reasoning_tokens), SUM(output_audio_tokens),
  SUM(cost_nano_usd), SUM(unpriced_requests), SUM(latency_us)
FROM usage_hours
GROUP BY 1, 2, 3, 4, 5, 6, 7;
