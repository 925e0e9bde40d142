-- Leases by age: those that were settled long ago are forgotten.

CREATE INDEX quota_leases_by_time ON quota_leases (reported_ms);
