-- Requests without the columns that no query looks at: the whole record has them.
ALTER TABLE requests
  DROP COLUMN kind,
  DROP COLUMN door,
  DROP COLUMN stream,
  DROP COLUMN upstream_model,
  DROP COLUMN first_token_us,
  DROP COLUMN finish_reason,
  DROP COLUMN cache,
  DROP COLUMN policy_revision,
  DROP COLUMN proxy_id;
