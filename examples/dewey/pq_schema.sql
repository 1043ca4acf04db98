-- The tables, version 1. Never change a released step; add another one (pq_schema.c).

-- One row. taken_over: the tables were migrated from an older installation.
CREATE TABLE dewey_schema(
  version integer NOT NULL,
  taken_over boolean NOT NULL,
  checked_at timestamptz NOT NULL DEFAULT now());

-- Words for the text indexes. Punctuation separates words, so that PostgreSQL's parser recognises no hosts,
-- paths or signed numbers, and searches find the same words as on SQLite.
CREATE FUNCTION dewey_plain(words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT translate(words, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32)) $$;

CREATE FUNCTION dewey_vector(words text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT to_tsvector('pg_catalog.simple', translate(words, '!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~', repeat(' ', 32))) $$;

-- The query for a search: all words between blanks, each as a phrase of its parts. Null without a word,
-- which matches nothing.
CREATE FUNCTION dewey_query(words text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT string_agg('(' || phrase || ')', ' & ')::tsquery
   FROM (SELECT phraseto_tsquery('pg_catalog.simple', dewey_plain(word))::text
         FROM regexp_split_to_table(words, '\s+') AS word) AS phrases(phrase)
   WHERE phrase <> '' $$;

-- JSON that jsonb cannot hold (too large a number) is stored as a text.
CREATE FUNCTION dewey_json(given text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ BEGIN
  RETURN given::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN to_jsonb(given);
END $$;

-- Log lines, with a partition for each UTC day around now; all others are in logs_other. Every index ends with
-- the order of results. The index holds the beginning of long components. Each search scans the pending list of
-- a GIN index, so that list is kept short.
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

-- Creates a day's partition if it is missing, and moves its lines from logs_other.
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

-- Drops the oldest day that ended by this time, except the days around now. Returns its number of lines, or
-- null if there is none. The lock serialises callers: waiting for a day that another one drops would fail.
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

-- The index holds the beginning of long session ids.
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

-- Only the beginning of long messages is indexed: a tsvector can hold that many characters of any kind.
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
