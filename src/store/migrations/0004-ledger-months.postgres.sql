-- The ledger by months, so that old ones are dropped at once. A month is made when the first request of it comes. Each has
-- a key of its own, in which an identifier is there once whatever its time says.

ALTER TABLE requests RENAME TO requests_whole;

ALTER TABLE request_labels RENAME TO request_labels_whole;

CREATE TABLE requests (LIKE requests_whole INCLUDING DEFAULTS) PARTITION BY RANGE (start_ms);

CREATE TABLE request_labels (LIKE request_labels_whole INCLUDING DEFAULTS) PARTITION BY RANGE (start_ms);

DO $months$
DECLARE
  month TIMESTAMP;
  bound RECORD;
  part VARCHAR;
BEGIN
  FOR month IN
    SELECT DISTINCT date_trunc('month', to_timestamp(start_ms / 1000) AT TIME ZONE 'UTC') FROM requests_whole
    UNION
    SELECT DISTINCT date_trunc('month', to_timestamp(start_ms / 1000) AT TIME ZONE 'UTC') FROM request_labels_whole
  LOOP
    SELECT
      extract(epoch FROM month AT TIME ZONE 'UTC')::BIGINT * 1000 AS low,
      extract(epoch FROM (month + INTERVAL '1 month') AT TIME ZONE 'UTC')::BIGINT * 1000 AS high
    INTO bound;
    FOREACH part IN ARRAY ARRAY['requests', 'request_labels'] LOOP
      EXECUTE format(
        'CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%s) TO (%s)',
        part || '_' || to_char(month, 'YYYY_MM'), part, bound.low, bound.high
      );
      EXECUTE format(
        'ALTER TABLE %I ADD PRIMARY KEY (%s)',
        part || '_' || to_char(month, 'YYYY_MM'),
        CASE part WHEN 'requests' THEN 'request_id' ELSE 'request_id, label_key' END
      );
    END LOOP;
  END LOOP;
END
$months$;

INSERT INTO requests SELECT * FROM requests_whole;

INSERT INTO request_labels SELECT * FROM request_labels_whole;

DROP TABLE requests_whole;

DROP TABLE request_labels_whole;

CREATE INDEX requests_by_time ON requests (start_ms, request_id);

CREATE INDEX requests_by_team ON requests (team, start_ms);

CREATE INDEX requests_by_key ON requests (key_name, start_ms);

CREATE INDEX request_labels_by_value
  ON request_labels (label_key, label_value, start_ms, request_id);
