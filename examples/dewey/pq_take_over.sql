-- After the tables were created: copies the rows of the older installation. Columns are found by name and may
-- be missing (logs without trace_id) or have other types (trace_id uuid, a numeric id of a startup context).
-- The old tables are kept unchanged under their new names.
DO $$ DECLARE
  days date[];
  day date;
  uuid_form text := '^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$';
BEGIN
  IF to_regclass('legacy_logs') IS NOT NULL THEN
    EXECUTE 'SELECT array_agg(day) FROM (SELECT DISTINCT (created_at::timestamptz AT TIME ZONE ''UTC'')::date AS day'
            ' FROM legacy_logs WHERE created_at IS NOT NULL ORDER BY day DESC LIMIT 400) AS newest' INTO days;
    FOREACH day IN ARRAY coalesce(days, '{}') LOOP
      PERFORM dewey_make_day(day);
    END LOOP;
    EXECUTE 'INSERT INTO logs(id, trace_id, component, level, message, data, created_at)'
            ' SELECT (old->>''id'')::uuid, old->>''trace_id'', coalesce(old->>''component'', ''''),'
            ' CASE WHEN upper(old->>''level'') IN (''TRACE'', ''DEBUG'', ''INFO'', ''WARN'', ''ERROR'')'
            ' THEN upper(old->>''level'') ELSE ''INFO'' END, coalesce(old->>''message'', ''''),'
            ' nullif(old->''data'', ''null''), coalesce((old->>''created_at'')::timestamptz, now())'
            ' FROM (SELECT to_jsonb(legacy_logs) AS old FROM legacy_logs) AS rows ON CONFLICT DO NOTHING';
  END IF;
  IF to_regclass('legacy_conversations') IS NOT NULL THEN
    EXECUTE 'INSERT INTO conversations(id, session_id, metadata, created_at, updated_at)'
            ' SELECT (old->>''id'')::uuid, old->>''session_id'', nullif(old->''metadata'', ''null''),'
            ' coalesce((old->>''created_at'')::timestamptz, now()),'
            ' coalesce((old->>''updated_at'')::timestamptz, (old->>''created_at'')::timestamptz, now())'
            ' FROM (SELECT to_jsonb(legacy_conversations) AS old FROM legacy_conversations) AS rows';
  END IF;
  IF to_regclass('legacy_messages') IS NOT NULL THEN
    EXECUTE 'INSERT INTO messages(id, conversation_id, turn_number, role, content, metadata, created_at)'
            ' SELECT (old->>''id'')::uuid, (old->>''conversation_id'')::uuid, (old->>''turn_number'')::integer,'
            ' old->>''role'', coalesce(old->>''content'', ''''), nullif(old->''metadata'', ''null''),'
            ' coalesce((old->>''created_at'')::timestamptz, now())'
            ' FROM (SELECT to_jsonb(legacy_messages) AS old FROM legacy_messages) AS rows';
  END IF;
  IF to_regclass('legacy_startup_contexts') IS NOT NULL THEN
    EXECUTE 'INSERT INTO startup_contexts(id, name, content, is_active, created_at, updated_at)'
            ' SELECT CASE WHEN old->>''id'' ~ $1 THEN (old->>''id'')::uuid ELSE gen_random_uuid() END,'
            ' old->>''name'', coalesce(old->>''content'', ''''),'
            ' coalesce((old->>''is_active'')::boolean, false) AND row_number() OVER (ORDER BY'
            '  coalesce((old->>''is_active'')::boolean, false) DESC, old->>''updated_at'' DESC NULLS LAST) = 1,'
            ' coalesce((old->>''created_at'')::timestamptz, now()),'
            ' coalesce((old->>''updated_at'')::timestamptz, (old->>''created_at'')::timestamptz, now())'
            ' FROM (SELECT to_jsonb(legacy_startup_contexts) AS old FROM legacy_startup_contexts) AS rows'
      USING uuid_form;
  END IF;
  UPDATE dewey_schema SET taken_over = to_regclass('legacy_logs') IS NOT NULL;
END $$;
