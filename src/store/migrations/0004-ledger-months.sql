-- Here the ledger stays one table: only an engine that drops a month at once has a use for months.
SELECT 1;
