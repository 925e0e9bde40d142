-- What limits have been counted: buckets, their windows, and what each proxy holds of them.

-- Whoever books or grants locks the bucket's row first. For a rate, `level` is what the share that nobody holds may still
-- admit at `level_at_ms`, in millionths of the unit; -1 while it has never been asked for: full.
CREATE TABLE quota_buckets (
  bucket TEXT NOT NULL PRIMARY KEY,
  policy TEXT NOT NULL,
  subject TEXT NOT NULL,
  kind TEXT NOT NULL,
  unit TEXT NOT NULL,
  ceiling BIGINT NOT NULL,
  newest_start_ms BIGINT NOT NULL,
  level BIGINT NOT NULL,
  level_at_ms BIGINT NOT NULL,
  recall_for TEXT NOT NULL,
  recall_need BIGINT NOT NULL,
  recall_since_ms BIGINT NOT NULL,
  recall_asked_ms BIGINT NOT NULL
);

CREATE INDEX quota_buckets_by_policy ON quota_buckets (policy, bucket);

CREATE INDEX quota_buckets_by_subject ON quota_buckets (subject, bucket);

CREATE INDEX quota_buckets_by_recall ON quota_buckets (recall_asked_ms);

-- `leased` is the sum of what is held by leases that are not closed. No end means never.
CREATE TABLE quota_windows (
  bucket TEXT NOT NULL,
  window_start_ms BIGINT NOT NULL,
  window_end_ms BIGINT,
  spent BIGINT NOT NULL,
  leased BIGINT NOT NULL,
  forfeited BIGINT NOT NULL,
  PRIMARY KEY (bucket, window_start_ms)
);

CREATE INDEX quota_windows_by_end ON quota_windows (window_end_ms);

-- All totals count from the lease's beginning and only rise.
CREATE TABLE quota_leases (
  bucket TEXT NOT NULL,
  window_start_ms BIGINT NOT NULL,
  proxy_id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  granted BIGINT NOT NULL,
  confirmed BIGINT NOT NULL,
  returned BIGINT NOT NULL,
  outstanding BIGINT NOT NULL,
  level_granted BIGINT NOT NULL,
  level_returned BIGINT NOT NULL,
  forfeited BIGINT NOT NULL,
  closed INTEGER NOT NULL,
  reported_ms BIGINT NOT NULL,
  PRIMARY KEY (bucket, window_start_ms, proxy_id, epoch)
);

CREATE INDEX quota_leases_by_proxy ON quota_leases (proxy_id, closed, epoch);

CREATE TABLE quota_proxies (
  proxy_id TEXT NOT NULL PRIMARY KEY,
  epoch BIGINT NOT NULL,
  last_sequence BIGINT NOT NULL,
  seen_ms BIGINT NOT NULL
);

CREATE INDEX quota_proxies_by_time ON quota_proxies (seen_ms);

-- `suspended`: why nothing is granted. `suspended_ms`: since when.
CREATE TABLE quota_state (
  key TEXT NOT NULL PRIMARY KEY,
  value TEXT NOT NULL
);
