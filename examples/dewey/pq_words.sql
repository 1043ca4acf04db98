-- Version 3, behind dewey_words(): the indexes of words, and what makes them where there are lines already.

-- As in version 2, and for the same reason.
SET LOCAL lock_timeout = 200;

DO $$ BEGIN
  IF NOT EXISTS(SELECT FROM pg_collation WHERE collname = 'und-x-icu') THEN
    RAISE EXCEPTION 'the server was built without ICU' USING ERRCODE = 'DW002';
  END IF;
END $$;

-- Since when all partitions and the messages have the index; null: searches use that of version 2.
ALTER TABLE dewey_schema ADD COLUMN words_at timestamptz;

-- How well a message fits: for each piece of the search (in its plain text, a blank at each end) how often it occurs, weighed
-- down in messages of many words. Blanks are doubled so that those of two words side by side do not overlap.
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

-- 0: all is done; 1: an index is to be made; 2: what version 2 needed is to be dropped; 3: the same, but
-- searches that began before words_at may be on their way.
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

-- A partition without the index of words; null: none is.
CREATE FUNCTION dewey_day_to_words() RETURNS text LANGUAGE sql STABLE AS
$$ SELECT day.relname::text FROM pg_inherits JOIN pg_class AS day ON day.oid = inhrelid
   WHERE inhparent = 'logs'::regclass AND NOT EXISTS(
     SELECT FROM pg_index JOIN pg_inherits AS part ON part.inhrelid = indexrelid
     WHERE indrelid = day.oid AND indisvalid AND part.inhparent = 'dewey_logs_plain'::regclass)
   ORDER BY 1 DESC LIMIT 1 $$;
