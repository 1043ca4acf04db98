-- A database as older installations made it: log lines without partitions, the id alone their key, trace ids as
-- uuid; conversations and messages that reference them; startup contexts that are numbered. The words in it are
-- looked for by tests/dewey/test_postgresql.py.
CREATE TABLE conversations(
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  session_id varchar(255),
  metadata jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE messages(
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  conversation_id uuid NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,
  turn_number integer NOT NULL,
  role varchar(50) NOT NULL CHECK(role IN ('user', 'assistant', 'system', 'tool')),
  content text NOT NULL,
  metadata jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE(conversation_id, turn_number));
CREATE INDEX messages_words ON messages USING gin(to_tsvector('english', content));
CREATE TABLE startup_contexts(
  id serial PRIMARY KEY,
  name varchar(255) UNIQUE NOT NULL,
  content text NOT NULL,
  is_active boolean DEFAULT false,
  created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now());
CREATE TABLE logs(
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  trace_id uuid,
  component varchar(100) NOT NULL,
  level varchar(10) NOT NULL CHECK(level IN ('TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR')),
  message text NOT NULL,
  data jsonb,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX idx_logs_created_at ON logs(created_at);

INSERT INTO conversations VALUES
  ('10000000-0000-4000-8000-000000000001', 'older session', '{"from": "older"}', '2024-03-01 10:00:00.123456+00', '2024-03-02 11:00:00+00'),
  ('10000000-0000-4000-8000-000000000002', NULL, NULL, '2024-04-01 10:00:00+00', '2024-04-01 10:00:00+00');
INSERT INTO messages(conversation_id, turn_number, role, content, metadata, created_at) VALUES
  ('10000000-0000-4000-8000-000000000001', 1, 'user', 'a question of old', NULL, '2024-03-01 10:00:01+00'),
  ('10000000-0000-4000-8000-000000000001', 3, 'assistant', 'an answer of old', '{"model": "none"}', '2024-03-01 10:00:02+00');
INSERT INTO startup_contexts(name, content, is_active, created_at, updated_at) VALUES
  ('first', 'content one', true, '2024-01-01', '2024-01-01'),
  ('second', 'content two', true, '2024-01-02', '2024-01-05'),
  ('third', 'content three', NULL, '2024-01-03', '2024-01-03');
INSERT INTO logs VALUES
  ('20000000-0000-4000-8000-000000000001', '30000000-0000-4000-8000-000000000001', 'older', 'WARN', 'a line of old', '{"k": 1}', '2024-03-01 10:00:00.654321+00'),
  ('20000000-0000-4000-8000-000000000002', NULL, 'older', 'INFO', 'another line', NULL, '2024-03-01 12:00:00+00');
INSERT INTO logs SELECT gen_random_uuid(), NULL, 'many', 'INFO', 'line ' || n, jsonb_build_object('n', n),
  '2024-02-01 00:00:00+00'::timestamptz + n * interval '1 minute' FROM generate_series(1, 5000) AS n;
