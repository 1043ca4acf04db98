-- The tables, version 1. What is to be different is a step more (pq_schema.c); steps that were released stay
-- as they are.

-- One row: whose tables these are. taken_over: they came from an older installation.
CREATE TABLE dewey_schema(
  version integer NOT NULL,
  taken_over boolean NOT NULL,
  checked_at timestamptz NOT NULL DEFAULT now());

-- Words for the text indexes. Marks part words, so that PostgreSQL's parser finds no hosts, paths or signed
-- numbers in a text, and the same words are found as in Dewey's other store.
CREATE FUNCTION dewey_plain(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT translate(words, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32)) $$;

CREATE FUNCTION dewey_vector(words text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT to_tsvector('pg_catalog.simple', translate(words, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32))) $$;

-- What a caller searches for: all of the words between blanks, each as a phrase of its parts. Null where
-- there is no word in it, which nothing matches.
CREATE FUNCTION dewey_query(words text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT string_agg('(' || phrase || ')', ' & ')::tsquery
   FROM (SELECT phraseto_tsquery('pg_catalog.simple', dewey_plain(word))::text
         FROM regexp_split_to_table(words, '\s+') AS word) AS phrases(phrase)
   WHERE phrase <> '' $$;

-- JSON that jsonb cannot hold (a number beyond any bound) is kept as a text.
CREATE FUNCTION dewey_json(given text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ BEGIN
  RETURN given::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN to_jsonb(given);
END $$;

-- Log lines, a partition for each day (of UTC) around now; what is older or newer by far goes to logs_other.
-- Every index ends with the order of all answers. A component of any length has its beginning in the index. What
-- waits to be taken into an inverted index is looked through by every search: little may wait.
CREATE TABLE logs(
  id uuid NOT NULL,
  trace_id text,
  component text NOT NULL,
  level text NOT NULL CHECK(level IN ('TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR')),
  message text NOT NULL,
  data jsonb,
  created_at timestamptz NOT NULL,
  PRIMARY KEY(id, created_at)) PARTITION BY RANGE(created_at);
CREATE INDEX dewey_logs_time ON logs(created_at, id);
CREATE INDEX dewey_logs_level ON logs(level, created_at, id);
CREATE INDEX dewey_logs_component ON logs(left(component, 256), created_at, id);
CREATE INDEX dewey_logs_trace ON logs(trace_id, created_at, id) WHERE trace_id IS NOT NULL;
CREATE INDEX dewey_logs_words ON logs USING gin(dewey_vector(left(message, 65536)))
  WITH (gin_pending_list_limit = 256);
CREATE INDEX dewey_logs_data ON logs USING gin(data jsonb_path_ops)
  WITH (gin_pending_list_limit = 256) WHERE data IS NOT NULL;
CREATE TABLE logs_other PARTITION OF logs DEFAULT;

-- Makes a day's partition where there is none, with the lines that came too early for it.
CREATE FUNCTION dewey_make_day(day date) RETURNS void LANGUAGE plpgsql AS
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
  EXECUTE format('ALTER TABLE logs ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, begins, ends);
END $$;

-- The days around now: a week back, three days ahead.
CREATE FUNCTION dewey_today() RETURNS date LANGUAGE sql STABLE AS
$$ SELECT (now() AT TIME ZONE 'UTC')::date $$;

CREATE FUNCTION dewey_make_days() RETURNS void LANGUAGE sql AS
$$ SELECT dewey_make_day(dewey_today() + day) FROM generate_series(-7, 3) AS day $$;

-- Drops the oldest day that ended by this time and is not among those around now. Its number of lines; null:
-- there is none. One after the other: who had waited for a day that another has dropped would fail.
CREATE FUNCTION dewey_drop_day(before timestamptz) RETURNS bigint LANGUAGE plpgsql AS
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
  EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', name);
  EXECUTE format('SELECT count(*) FROM %I', name) INTO lines;
  EXECUTE format('DROP TABLE %I', name);
  RETURN lines;
END $$;

SELECT dewey_make_days();

-- A session id of any length has its beginning in the index.
CREATE TABLE conversations(
  id uuid PRIMARY KEY,
  session_id text,
  metadata jsonb,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL);
CREATE INDEX dewey_conversations_created ON conversations(created_at, id);
CREATE INDEX dewey_conversations_updated ON conversations(updated_at, id);
CREATE INDEX dewey_conversations_session ON conversations(left(session_id, 256), created_at, id)
  WHERE session_id IS NOT NULL;

-- Long messages are found by their beginning: whatever their characters are, a tsvector holds so many.
CREATE TABLE messages(
  id uuid PRIMARY KEY,
  conversation_id uuid NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
  turn_number integer NOT NULL,
  role text NOT NULL CHECK(role IN ('user', 'assistant', 'system', 'tool')),
  content text NOT NULL,
  metadata jsonb,
  created_at timestamptz NOT NULL,
  words tsvector NOT NULL GENERATED ALWAYS AS (dewey_vector(left(content, 130000))) STORED,
  UNIQUE(conversation_id, turn_number));
CREATE INDEX dewey_messages_words ON messages USING gin(words) WITH (gin_pending_list_limit = 256);

CREATE TABLE startup_contexts(
  id uuid PRIMARY KEY,
  name text NOT NULL UNIQUE,
  content text NOT NULL,
  is_active boolean NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL);
CREATE UNIQUE INDEX dewey_startup_contexts_active ON startup_contexts(is_active) WHERE is_active;

INSERT INTO dewey_schema(version, taken_over) VALUES(1, false);
