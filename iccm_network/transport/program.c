/* program.c: a program with pipes at its standard input and output.
 *
 * Happy path: the program reads lines and writes lines until its input is closed, and ends. Failure: a
 * program that ends, or closes a stream, is reported once, with its exit status if that is known soon; one
 * that goes on without input gets signals. All of its handles are closed after its end, which is waited for:
 * no zombie remains. */
#include "transport/program.h"

#include "iccm_service.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern char **environ;

/* ---- the end --------------------------------------------------------------------------------------- */

static void part_closed(mcp__program_t *program) {
  if (--program->open_parts > 0)
    return;
  const mcp__program_events_t *events = program->events;
  void *arg = program->arg;
  mcp__free(program);
  events->on_freed(arg);
}

static void on_handle_closed(uv_handle_t *handle) {
  part_closed(handle->data);
}

static void on_stdio_closed(void *arg) {
  part_closed(arg);
}

static void close_all(mcp__program_t *program) {
  uv_close((uv_handle_t *)&program->process, on_handle_closed);
  uv_close((uv_handle_t *)&program->timer, on_handle_closed);
  mcp__stdio_close(&program->stdio);
}

static void describe_end(const mcp__program_t *program, char *problem, size_t size) {
  if (program->start_status != 0)
    snprintf(problem, size, "cannot start the program: %s", mcp_strerror(program->start_status));
  else if (program->running)
    snprintf(problem, size, "the program closed its standard %s", program->at_eof ? "output" : "input");
  else if (program->exit_signal != 0)
    snprintf(problem, size, "the program was ended by signal %d (%s)", program->exit_signal,
             strsignal(program->exit_signal));
  else
    snprintf(problem, size, "the program ended with exit status %d", (int)program->exit_status);
}

static void report(mcp__program_t *program) {
  char problem[256];
  if (program->reported)
    return;
  program->reported = true;
  uv_timer_stop(&program->timer);
  describe_end(program, problem, sizeof problem);
  program->events->on_ended(program->start_status != 0 ? MCP_ECONNECT : MCP_EDISCONNECTED, problem,
                            program->arg);
}

static void on_end_known(uv_timer_t *timer) {
  mcp__program_t *program = timer->data;
  if (program->stdio.reading || program->at_eof || program->start_status != 0)
    report(program);
  else /* the owner has not taken the last lines yet */
    uv_timer_start(timer, on_end_known, MCP__PROGRAM_END_MS, 0);
}

/* The process and its output end in any order; lines may be left when the process has ended. */
static void half_ended(mcp__program_t *program) {
  if (program->at_eof && !program->running)
    report(program);
  else if (!program->reported)
    uv_timer_start(&program->timer, on_end_known, MCP__PROGRAM_END_MS, 0);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal_number) {
  mcp__program_t *program = process->data;
  program->running = false;
  program->exit_status = status;
  program->exit_signal = signal_number;
  if (program->stopping)
    close_all(program);
  else
    half_ended(program);
}

static void on_kill(uv_timer_t *timer) {
  mcp__program_t *program = timer->data;
  if (program->terminated) {
    uv_process_kill(&program->process, SIGKILL);
    return;
  }
  program->terminated = true;
  uv_process_kill(&program->process, SIGTERM);
  uv_timer_start(timer, on_kill, MCP__PROGRAM_KILL_MS, 0);
}

void mcp__program_stop(mcp__program_t *program, bool at_once) {
  if (program->stopping)
    return;
  program->stopping = program->reported = true;
  mcp__stdio_read(&program->stdio, true);
  if (!program->running) {
    close_all(program);
    return;
  }
  mcp__stdio_finish(&program->stdio);
  uv_timer_start(&program->timer, on_kill, at_once ? 0 : MCP__PROGRAM_TERM_MS, 0);
}

/* ---- lines ----------------------------------------------------------------------------------------- */

static void on_line(mcp__buf_t *line, void *arg) {
  mcp__program_t *program = arg;
  if (!program->stopping)
    program->events->on_line(line, program->arg);
}

static void on_discarded(int status, void *arg) {
  mcp__program_t *program = arg;
  if (!program->stopping)
    program->events->on_discarded(status, program->arg);
}

static void on_eof(int status, void *arg) {
  mcp__program_t *program = arg;
  (void)status;
  program->at_eof = true;
  half_ended(program);
}

static void on_written(int status, void *arg) {
  mcp__program_t *program = arg;
  if (program->stopping)
    return;
  if (status == 0)
    program->events->on_written(program->arg);
  else if (program->running && !program->at_eof) /* else its exit status says more */
    half_ended(program);
}

static const mcp__stdio_events_t stdio_events = {on_line, on_discarded, on_eof, on_stdio_closed, on_written};

/* ---- the start ------------------------------------------------------------------------------------- */

/* The environment of the program; its texts are borrowed. NULL: out of memory. */
static char **new_environment(char *setting) {
  size_t count = 0, len = 0, name_len = (size_t)(strchr(setting, '=') + 1 - setting);
  while (environ[count] != NULL)
    count++;
  char **list = mcp__calloc((count + 2) * sizeof *list);
  if (list == NULL)
    return NULL;
  for (char **each = environ; *each != NULL; each++)
    if (strncmp(*each, setting, name_len) != 0)
      list[len++] = *each;
  list[len] = setting;
  return list;
}

static int spawn(mcp__program_t *program, char **argv, char **environment, const int fds[3]) {
  uv_stdio_container_t streams[] = {{.flags = UV_INHERIT_FD, .data.fd = fds[0]},
                                    {.flags = UV_INHERIT_FD, .data.fd = fds[1]},
                                    {.flags = UV_INHERIT_FD, .data.fd = fds[2]}};
  uv_process_options_t options = {.file = argv[0],
                                  .args = argv,
                                  .env = environment,
                                  .stdio = streams,
                                  .stdio_count = 3,
                                  .exit_cb = on_process_exit};
  return uv_spawn(program->stdio.loop, &program->process, &options);
}

static void close_pair(const int pair[2]) {
  close(pair[0]);
  close(pair[1]);
}

/* A pipe to the program's input and one from its output. */
static int open_pipes(int input[2], int output[2]) {
  int status = uv_pipe(input, 0, UV_NONBLOCK_PIPE);
  if (status != 0)
    return status;
  status = uv_pipe(output, UV_NONBLOCK_PIPE, 0);
  if (status != 0)
    close_pair(input);
  return status;
}

/* False: there are no pipes, and no handle is open. */
static bool start(mcp__program_t *program, uv_loop_t *loop, char **argv, char **environment, int error_fd,
                  size_t max_line) {
  int input[2], output[2];
  if (open_pipes(input, output) != 0)
    return false;
  program->open_parts = 3;
  program->process.data = program->timer.data = program;
  uv_timer_init(loop, &program->timer);
  mcp__stdio_open(&program->stdio, loop, (int[]){output[0], input[1]}, max_line, &stdio_events, program);
  program->start_status = spawn(program, argv, environment, (int[]){input[0], output[1], error_fd});
  program->running = program->start_status == 0;
  close(input[0]);
  close(output[1]);
  if (program->running)
    mcp__stdio_read(&program->stdio, true);
  else
    uv_timer_start(&program->timer, on_end_known, 0, 0);
  return true;
}

mcp__program_t *mcp__program_start(uv_loop_t *loop, char **argv, char *setting, int error_fd, size_t max_line,
                                   const mcp__program_events_t *events, void *arg) {
  mcp__program_t *program = mcp__calloc(sizeof *program);
  char **environment = new_environment(setting);
  bool started = false;
  if (program != NULL && environment != NULL) {
    program->events = events;
    program->arg = arg;
    started = start(program, loop, argv, environment, error_fd, max_line);
  }
  mcp__free(environment);
  if (started)
    return program;
  mcp__free(program);
  return NULL;
}
