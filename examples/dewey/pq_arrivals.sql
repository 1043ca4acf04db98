-- Version 2: the order of arrival of lines, and the time of the last retention.

-- Waiting for a lock on all lines would block writers: fail instead and retry the whole step.
SET LOCAL lock_timeout = 200;

ALTER TABLE dewey_schema ADD COLUMN retention_at timestamptz;
UPDATE dewey_schema SET retention_at = greatest(checked_at, (SELECT max(created_at) FROM logs WHERE created_at < now()));

-- The transaction that stored a line; null for lines of version 1, which are not rewritten.
ALTER TABLE logs ADD COLUMN arrival xid8;
ALTER TABLE logs ALTER COLUMN arrival SET DEFAULT pg_current_xact_id();

-- The arrival index of a partition is named after it. Partitions with lines of version 1 get theirs later,
-- while the store is in use (dewey_day_to_index).
CREATE FUNCTION dewey_index_of(name text) RETURNS text LANGUAGE sql IMMUTABLE AS
$$ SELECT format('%I ON %I(arrival, id) WHERE arrival IS NOT NULL', name || '_arrival', name) $$;

-- Returns a partition without it, or null.
CREATE FUNCTION dewey_day_to_index() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT day.relname::text FROM pg_inherits JOIN pg_class AS day ON day.oid = inhrelid
   WHERE inhparent = 'logs'::regclass AND NOT EXISTS(
     SELECT FROM pg_index JOIN pg_class AS found ON found.oid = indexrelid
     WHERE indrelid = day.oid AND indisvalid AND found.relname = day.relname || '_arrival')
   ORDER BY 1 LIMIT 1 $$;

DO $$ DECLARE
  name text;
  used boolean;
BEGIN
  FOR name IN SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
              WHERE inhparent = 'logs'::regclass LOOP
    EXECUTE format('SELECT EXISTS(SELECT FROM %I)', name) INTO used;
    IF NOT used THEN
      EXECUTE 'CREATE INDEX ' || dewey_index_of(name);
    END IF;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION dewey_make_day(day date) RETURNS void LANGUAGE plpgsql AS
$$ DECLARE
  name text := 'logs_day_' || to_char(day, 'YYYYMMDD');
  begins timestamptz := day::timestamp AT TIME ZONE 'UTC';
  ends timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
  IF to_regclass(name) IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE %I(LIKE logs INCLUDING CONSTRAINTS)', name);
  EXECUTE format('WITH early AS (DELETE FROM logs_other WHERE created_at >= %L AND created_at < %L RETURNING *)'
                 ' INSERT INTO %I SELECT * FROM early', begins, ends, name);
  EXECUTE 'CREATE INDEX ' || dewey_index_of(name);
  EXECUTE format('ALTER TABLE logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, begins, ends);
END $$;

-- The days around today: a week back, three days ahead. Dewey passes today, after checking its clock.
DROP FUNCTION dewey_make_days();
CREATE FUNCTION dewey_make_days(today date) RETURNS void LANGUAGE sql AS
$$ SELECT dewey_make_day(today + day) FROM generate_series(-7, 3) AS day $$;

-- As before, but fails if the lines are in use, since writers would wait behind it.
CREATE OR REPLACE FUNCTION dewey_drop_day(before timestamptz) RETURNS bigint LANGUAGE plpgsql
  SET lock_timeout = 2000 AS
$$ DECLARE
  name text;
  lines bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(7306934502);
  name := (SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
           WHERE inhparent = 'logs'::regclass AND relname ~ '^logs_day_\d{8}$'
             AND to_date(right(relname, 8), 'YYYYMMDD') < dewey_today() - 7
             AND (to_date(right(relname, 8), 'YYYYMMDD') + 1)::timestamp AT TIME ZONE 'UTC' <= before
           ORDER BY relname LIMIT 1);
  IF name IS NULL THEN
    RETURN NULL;
  END IF;
  PERFORM set_config('lock_timeout', '500', true);
  EXECUTE format('LOCK TABLE %I IN SHARE ROW EXCLUSIVE MODE', name);
  EXECUTE format('SELECT count(*) FROM %I', name) INTO lines;
  EXECUTE format('DROP TABLE %I', name);
  RETURN lines;
END $$;
