/* timestamp.c: formats and parses ISO 8601 times.
 *
 * The process's locale and time zone have no effect. Years are 0001 to 9999: text outside of this range is
 * rejected, numbers are clamped. Unix time has no leap seconds: :60 is read as the following second. */
#include "iccm_network.h"
#include "iccm_service.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

static const int64_t first_us = INT64_C(-62135596800) * SECOND;    /* 0001-01-01T00:00:00 */
static const int64_t last_us = INT64_C(253402300800) * SECOND - 1; /* 9999-12-31T23:59:59.999999 */

int64_t mcp_time_now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * SECOND + now.tv_nsec / 1000;
}

/* Days are counted in years that begin in March, so that a leap day is the last day. 400 years have 146,097
 * days, and the months from March have 30.6 days on average, which the formula with 153 days for 5 months
 * distributes. */
enum { DAYS_OF_400_YEARS = 146097, DAYS_TO_1970 = 719468 /* from 0000-03-01 */ };

static int64_t days_of_date(int64_t year, int64_t month, int64_t day) {
  int64_t shifted = month > 2 ? year : year - 1, from_march = (month + 9) % 12;
  int64_t in_year = (153 * from_march + 2) / 5 + day - 1;
  return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + in_year - DAYS_TO_1970;
}

static void date_of_days(int64_t days, int64_t *year, int64_t *month, int64_t *day) {
  days += DAYS_TO_1970;
  int64_t era = days / DAYS_OF_400_YEARS, in_era = days % DAYS_OF_400_YEARS;
  int64_t of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
  int64_t in_year = in_era - (365 * of_era + of_era / 4 - of_era / 100);
  int64_t from_march = (5 * in_year + 2) / 153;
  *day = in_year - (153 * from_march + 2) / 5 + 1;
  *month = from_march < 10 ? from_march + 3 : from_march - 9;
  *year = era * 400 + of_era + (*month <= 2);
}

/* Writes number with width digits and then the character. */
static char *put(char *to, int64_t number, int width, char after) {
  for (int i = width - 1; i >= 0; i--, number /= 10)
    to[i] = (char)('0' + number % 10);
  to[width] = after;
  return to + width + 1;
}

void mcp_time_format(int64_t us, char text[MCP_TIME_SIZE]) {
  us = us < first_us ? first_us : us > last_us ? last_us : us;
  /* All values below are not negative. */
  int64_t days = (us - first_us) / DAY, rest = (us - first_us) % DAY, year, month, day;
  date_of_days(days + first_us / DAY, &year, &month, &day);
  text = put(text, year, 4, '-');
  text = put(text, month, 2, '-');
  text = put(text, day, 2, 'T');
  text = put(text, rest / HOUR, 2, ':');
  text = put(text, rest / MINUTE % 60, 2, ':');
  text = put(text, rest / SECOND % 60, 2, '.');
  text = put(text, rest % SECOND, 6, 'Z');
  *text = '\0';
}

typedef struct reader {
  const char *at, *end;
} reader_t;

static bool take(reader_t *reader, char wanted) {
  if (reader->at == reader->end || *reader->at != wanted)
    return false;
  reader->at++;
  return true;
}

static bool is_digit(const reader_t *reader) {
  return reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9';
}

/* Exactly width digits, from min to max. */
static bool take_number(reader_t *reader, int width, int64_t min, int64_t max, int64_t *number) {
  *number = 0;
  for (int i = 0; i < width; i++) {
    if (!is_digit(reader))
      return false;
    *number = *number * 10 + (*reader->at++ - '0');
  }
  return *number >= min && *number <= max;
}

static bool take_date(reader_t *reader, int64_t *us) {
  static const int8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  int64_t year, month, day;
  if (!take_number(reader, 4, 1, 9999, &year) || !take(reader, '-') ||
      !take_number(reader, 2, 1, 12, &month) || !take(reader, '-') || !take_number(reader, 2, 1, 31, &day))
    return false;
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (day > lengths[month - 1] + (month == 2 && leap))
    return false;
  *us = days_of_date(year, month, day) * DAY;
  return true;
}

/* After a dot or comma: at least one digit; digits after the sixth are ignored. */
static bool take_fraction(reader_t *reader, int64_t *us) {
  if (!is_digit(reader))
    return false;
  for (int64_t unit = SECOND / 10; is_digit(reader); unit /= 10)
    *us += (*reader->at++ - '0') * unit;
  return true;
}

/* hh:mm, hh:mm:ss or hh:mm:ss.f; 24:00 with zeros only is the end of the day. */
static bool take_time(reader_t *reader, int64_t *us) {
  int64_t hour, minute, second = 0, fraction = 0;
  if (!take_number(reader, 2, 0, 24, &hour) || !take(reader, ':') || !take_number(reader, 2, 0, 59, &minute))
    return false;
  if (take(reader, ':') && (!take_number(reader, 2, 0, 60, &second) ||
                            ((take(reader, '.') || take(reader, ',')) && !take_fraction(reader, &fraction))))
    return false;
  if (second == 60) /* a fraction would reach into the next second */
    fraction = 0;
  int64_t of_hour = minute * MINUTE + second * SECOND + fraction;
  *us += hour * HOUR + of_hour;
  return hour < 24 || of_hour == 0;
}

/* Z, +hh:mm, +hhmm or +hh, also with minus; or nothing. UTC is local time minus the offset. */
static bool take_offset(reader_t *reader, int64_t *us) {
  if (reader->at == reader->end || take(reader, 'Z') || take(reader, 'z'))
    return true;
  int64_t sign = take(reader, '-') ? 1 : -1, hours, minutes = 0;
  if ((sign < 0 && !take(reader, '+')) || !take_number(reader, 2, 0, 23, &hours))
    return false;
  if (reader->at < reader->end) {
    take(reader, ':');
    if (!take_number(reader, 2, 0, 59, &minutes))
      return false;
  }
  *us += sign * (hours * HOUR + minutes * MINUTE);
  return true;
}

/* of_day: the time of day, in microseconds, of a date without a time. */
static int parse(const char *text, size_t len, int64_t of_day, int64_t *us) {
  reader_t reader = {text, text + len};
  int64_t found;
  bool fine = take_date(&reader, &found);
  if (fine && reader.at < reader.end)
    fine = (take(&reader, 'T') || take(&reader, 't') || take(&reader, ' ')) && take_time(&reader, &found) &&
           take_offset(&reader, &found);
  else if (fine)
    found += of_day;
  if (!fine || reader.at < reader.end || found < first_us || found > last_us)
    return -EINVAL;
  *us = found;
  return 0;
}

int mcp_time_parse(const char *text, size_t len, int64_t *us) {
  return parse(text, len, 0, us);
}

int mcp_time_parse_end(const char *text, size_t len, int64_t *us) {
  return parse(text, len, DAY - 1, us);
}
