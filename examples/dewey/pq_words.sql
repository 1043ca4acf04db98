-- Version 3, after dewey_words(): the indexes of words, and the functions that build them for existing rows.

-- As in version 2, for the same reason.
SET LOCAL lock_timeout = 200;

DO $$ BEGIN
  IF NOT EXISTS(SELECT FROM pg_collation WHERE collname = 'und-x-icu') THEN
    RAISE EXCEPTION 'the server was built without ICU' USING ERRCODE = 'DW002';
  END IF;
END $$;

-- The time since which all partitions and the messages have the index; null: searches use that of version 2.
ALTER TABLE dewey_schema ADD COLUMN words_at timestamptz;

-- The rank of a message: the number of occurrences of each piece of the search (plain text with a blank at each end), reduced
-- for messages with many words. Blanks are doubled so that adjacent words do not share one.
CREATE FUNCTION dewey_rank(words text, pieces text[]) RETURNS float8 LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS
$$ DECLARE
  doubled text := replace(words, ' ', '  ');
  weight float8 := 0.3 + 0.0045 * (char_length(doubled) - char_length(words));
  rank float8 := 0;
  piece text;
  found float8;
BEGIN
  FOREACH piece IN ARRAY pieces LOOP
    piece := ' ' || replace(btrim(piece), ' ', '  ') || ' ';
    found := (char_length(doubled) - char_length(replace(doubled, piece, ''))) / char_length(piece);
    rank := rank + found / (found + weight);
  END LOOP;
  RETURN rank;
END $$;

-- 0: complete; 1: an index is missing; 2: the indexes of version 2 can be dropped; 3: the same, but searches
-- that began before words_at may still be running.
CREATE FUNCTION dewey_words_state() RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT CASE WHEN words_at IS NULL THEN 1 WHEN to_regclass('dewey_logs_words') IS NULL THEN 0
   WHEN words_at < now() - interval '1 minute' THEN 2 ELSE 3 END FROM dewey_schema $$;

CREATE FUNCTION dewey_drop_old_words() RETURNS void LANGUAGE plpgsql AS
$$ BEGIN
  DROP INDEX dewey_logs_words;
  ALTER TABLE messages DROP COLUMN words;
  DROP FUNCTION dewey_query(text);
  DROP FUNCTION dewey_vector(text);
  DROP FUNCTION dewey_plain(text);
END $$;

DO $$ BEGIN
  IF EXISTS(SELECT FROM logs) OR EXISTS(SELECT FROM messages) THEN
    CREATE INDEX dewey_logs_plain ON ONLY logs USING gin((dewey_words(left(message, 65536))::tsvector))
      WITH (gin_pending_list_limit = 256);
  ELSE
    CREATE INDEX dewey_logs_plain ON logs USING gin((dewey_words(left(message, 65536))::tsvector))
      WITH (gin_pending_list_limit = 256);
    CREATE INDEX dewey_messages_plain ON messages USING gin((dewey_words(left(content, 130000))::tsvector))
      WITH (gin_pending_list_limit = 256);
    UPDATE dewey_schema SET words_at = now();
    PERFORM dewey_drop_old_words();
  END IF;
END $$;

-- Returns a partition without the index of words, or null.
CREATE FUNCTION dewey_day_to_words() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT day.relname::text FROM pg_inherits JOIN pg_class AS day ON day.oid = inhrelid
   WHERE inhparent = 'logs'::regclass AND NOT EXISTS(
     SELECT FROM pg_index JOIN pg_inherits AS part ON part.inhrelid = indexrelid
     WHERE indrelid = day.oid AND indisvalid AND part.inhparent = 'dewey_logs_plain'::regclass)
   ORDER BY 1 DESC LIMIT 1 $$;
