-- What was told of budgets: one row a bucket, window and percentage, so that it is told once; and to whom it is on its way.

CREATE TABLE quota_alerts (
  bucket TEXT NOT NULL,
  window_start_ms BIGINT NOT NULL,
  percent INTEGER NOT NULL,
  policy TEXT NOT NULL,
  subject TEXT NOT NULL,
  unit TEXT NOT NULL,
  ceiling BIGINT NOT NULL,
  spent BIGINT NOT NULL,
  window_end_ms BIGINT,
  raised_ms BIGINT NOT NULL,
  PRIMARY KEY (bucket, window_start_ms, percent)
);

CREATE INDEX quota_alerts_by_time ON quota_alerts (raised_ms);

-- `due_ms` is when it is tried next; null when it has arrived or was given up.
CREATE TABLE alert_deliveries (
  bucket TEXT NOT NULL,
  window_start_ms BIGINT NOT NULL,
  percent INTEGER NOT NULL,
  url TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  due_ms BIGINT,
  delivered_ms BIGINT,
  failure TEXT NOT NULL,
  PRIMARY KEY (bucket, window_start_ms, percent, url)
);

CREATE INDEX alert_deliveries_due ON alert_deliveries (due_ms);
