-- Before the tables are created: renames those of an older installation, whatever their columns. Fails if such
-- a name is in use, or a table is unknown to Dewey.
DO $$ DECLARE
  name text;
BEGIN
  IF to_regclass('logs') IS NOT NULL AND
     (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('logs') AND NOT attisdropped
      AND attname IN ('id', 'component', 'level', 'message', 'created_at')) < 5 THEN
    RAISE EXCEPTION 'the table logs was made by another program' USING ERRCODE = 'DW001';
  END IF;
  IF to_regclass('messages') IS NOT NULL AND
     (SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('messages') AND NOT attisdropped
      AND attname IN ('id', 'conversation_id', 'turn_number', 'role', 'content')) < 5 THEN
    RAISE EXCEPTION 'the table messages was made by another program' USING ERRCODE = 'DW001';
  END IF;
  FOREACH name IN ARRAY '{logs,messages,conversations,startup_contexts}'::text[] LOOP
    IF to_regclass(name) IS NOT NULL THEN
      EXECUTE format('ALTER TABLE %I RENAME TO %I', name, 'legacy_' || name);
    END IF;
  END LOOP;
END $$;
