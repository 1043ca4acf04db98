/* schema_combine.c: keywords that apply schemas to the value itself: allOf, anyOf, oneOf, not, if.
 *
 * What decides without being the answer is tried in silence. When none of several forms fits, the problem is
 * that of the closest: the one that came deepest into the value before it failed, and of these one that does
 * not fail by const or enum, which tell kinds of things apart; it is tried once more to have its words. When
 * all fail at the value itself, each says why. */
#include "schema/schema_integers.h"
#include "schema/schema_marks.h"

#include <errno.h>

/* Whether the schema fits; no problem is told. Sets closeness when it does not. False also when the check
 * gave up. In a schema that collects, what this one evaluates counts when it fits. */
MCP__FOR_BOTH bool fits(const mcp__node_t *node, yyjson_val *value, const mcp__place_t *at,
                        mcp__check_t *check, unsigned *closeness, bool collects) {
  mcp__problem_t *outer = check->problem, silent;
  uint64_t integers = check->integers;
  mcp__problem_init(&silent, NULL, 0);
  check->problem = &silent;
  bool fine = collects ? mcp__marks_fit(node, value, at, check) : mcp__check_in_place(node, value, at, check);
  check->problem = outer;
  if (!fine)
    mcp__integers_forget(value, &check->integers, integers);
  *closeness = silent.closeness;
  return fine;
}

/* ---- allOf ---- */

static int compile_forms(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  if (yyjson_is_arr(site->value) && yyjson_arr_size(site->value) == 0)
    return mcp__malformed(compiler, &site->here, site->value, " holds no schema");
  return mcp__compile_list(compiler, site->value, &site->here, &step->list);
}

bool mcp__check_all_of(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                       mcp__check_t *check) {
  for (size_t i = 0; i < step->list.count; i++)
    if (!mcp__check_in_place(step->list.nodes[i], value, at, check))
      return false;
  return true;
}

/* ---- anyOf, oneOf ---- */

/* Why each form does not fit, parted by semicolons. */
static bool say_each(const mcp__list_t *forms, yyjson_val *value, const mcp__place_t *at,
                     mcp__check_t *check) {
  enum { MAX_BYTES = 256 };
  bool bare = check->problem->bare;
  size_t outer = mcp__problem_begin_cut(check->problem, MAX_BYTES);
  for (size_t i = 0; i < forms->count && !check->problem->cut; i++) {
    mcp__problem_put(check->problem, i == 0 ? ": " : "; ");
    check->problem->bare = true;
    mcp__check_in_place(forms->nodes[i], value, at, check);
    if (check->gave_up) /* its text stands there instead, with limits of its own */
      return false;
  }
  check->problem->bare = bare;
  mcp__problem_end_cut(check->problem, outer);
  return false;
}

static bool refuse_all(const mcp__list_t *forms, size_t closest, unsigned closeness, yyjson_val *value,
                       const mcp__place_t *at, mcp__check_t *check) {
  mcp__problem_t *problem = check->problem;
  if (problem->size == 0) {
    problem->closeness = closeness;
    return false;
  }
  if (forms->count == 1)
    return mcp__check_in_place(forms->nodes[0], value, at, check);
  mcp__problem_begin(problem, at, value, " fits none of the ");
  mcp__problem_put_number(problem, forms->count);
  mcp__problem_put(problem, " allowed forms");
  if (closeness <= mcp__place_closeness(at))
    return say_each(forms, value, at, check);
  mcp__problem_put(problem, "; the closest: ");
  return mcp__check_in_place(forms->nodes[closest], value, at, check);
}

MCP__FOR_BOTH bool judge_any_of(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                                mcp__check_t *check, bool collects) {
  size_t closest = 0;
  unsigned most = 0, closeness;
  bool found = false;
  for (size_t i = 0; i < step->list.count; i++) {
    if (fits(step->list.nodes[i], value, at, check, &closeness, collects)) {
      found = true;
      if (!collects || check->marks == NULL) /* others that fit would change nothing */
        return true;
    } else if (check->gave_up) {
      return false;
    } else if (closeness > most) {
      most = closeness;
      closest = i;
    }
  }
  return found || refuse_all(&step->list, closest, most, value, at, check);
}

static bool check_any_of(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                         mcp__check_t *check) {
  return judge_any_of(step, value, at, check, false);
}

static bool any_of_collecting(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                              mcp__check_t *check) {
  return judge_any_of(step, value, at, check, true);
}

static bool refuse_two(size_t first, size_t second, yyjson_val *value, const mcp__place_t *at,
                       mcp__check_t *check) {
  mcp__problem_begin(check->problem, at, value, " fits both oneOf/");
  mcp__problem_put_number(check->problem, first);
  mcp__problem_put(check->problem, " and oneOf/");
  mcp__problem_put_number(check->problem, second);
  mcp__problem_put(check->problem, ", of which only one may fit");
  return false;
}

MCP__FOR_BOTH bool judge_one_of(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                                mcp__check_t *check, bool collects) {
  size_t closest = 0, found = step->list.count;
  unsigned most = 0, closeness;
  for (size_t i = 0; i < step->list.count; i++) {
    bool fine = fits(step->list.nodes[i], value, at, check, &closeness, collects);
    if (check->gave_up)
      return false;
    if (fine && found < step->list.count)
      return refuse_two(found, i, value, at, check);
    if (fine) {
      found = i;
    } else if (closeness > most) {
      most = closeness;
      closest = i;
    }
  }
  return found < step->list.count || refuse_all(&step->list, closest, most, value, at, check);
}

static bool check_one_of(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                         mcp__check_t *check) {
  return judge_one_of(step, value, at, check, false);
}

static bool one_of_collecting(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                              mcp__check_t *check) {
  return judge_one_of(step, value, at, check, true);
}

/* ---- not ---- */

static int compile_not(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  return mcp__compile_node(compiler, site->value, &site->here, &step->node);
}

static bool check_not(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                      mcp__check_t *check) {
  unsigned closeness;
  if (!fits(step->node, value, at, check, &closeness, false))
    return !check->gave_up;
  return mcp__problem_begin(check->problem, at, value, " fits the form that \"not\" excludes");
}

/* What a schema evaluates that must not fit counts nowhere. */
static bool not_collecting(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                           mcp__check_t *check) {
  mcp__marks_t *marks = check->marks;
  check->marks = NULL;
  bool fine = check_not(step, value, at, check);
  check->marks = marks;
  return fine;
}

/* ---- if, then, else ---- */

typedef struct condition {
  const mcp__node_t *condition, *then, *otherwise; /* NULL: anything */
} condition_t;

static int compile_if(mcp__compiler_t *compiler, const mcp__site_t *site, mcp__step_t *step) {
  condition_t *condition = mcp__arena_alloc(compiler->arena, sizeof *condition);
  if (condition == NULL)
    return -ENOMEM;
  *condition = (condition_t){NULL, NULL, NULL};
  const struct {
    const char *keyword;
    const mcp__node_t **node;
  } parts[] = {{"if", &condition->condition}, {"then", &condition->then}, {"else", &condition->otherwise}};
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    mcp__site_t part = mcp__site(site->schema, site->at, parts[i].keyword);
    int status = part.value != NULL ? mcp__compile_node(compiler, part.value, &part.here, parts[i].node) : 0;
    if (status != 0)
      return status;
  }
  step->data = condition;
  bool idle = condition->then == NULL && condition->otherwise == NULL && !compiler->collects;
  if (condition->condition == NULL || idle)
    step->check = NULL;
  return 0;
}

MCP__FOR_BOTH bool judge_if(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                            mcp__check_t *check, bool collects) {
  const condition_t *condition = step->data;
  unsigned closeness;
  bool fine = fits(condition->condition, value, at, check, &closeness, collects);
  const mcp__node_t *node = fine ? condition->then : condition->otherwise;
  return !check->gave_up && (node == NULL || mcp__check_in_place(node, value, at, check));
}

static bool check_if(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                     mcp__check_t *check) {
  return judge_if(step, value, at, check, false);
}

static bool if_collecting(const mcp__step_t *step, yyjson_val *value, const mcp__place_t *at,
                          mcp__check_t *check) {
  return judge_if(step, value, at, check, true);
}

const mcp__rule_t mcp__combine_rules[] = {
    {{"allOf"}, compile_forms, mcp__check_all_of, NULL},
    {{"anyOf"}, compile_forms, check_any_of, any_of_collecting},
    {{"oneOf"}, compile_forms, check_one_of, one_of_collecting},
    {{"not"}, compile_not, check_not, not_collecting},
    {{"if", "then", "else"}, compile_if, check_if, if_collecting},
    {{NULL}, NULL, NULL, NULL},
};
