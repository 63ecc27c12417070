"""The program in a C file: it reads CSV and prints what the network predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

__all__ = ["Columns", "main_of", "quoted"]


class Columns(NamedTuple):
    """The columns of a table that become the inputs of `predict`.

    Attributes
    ----------
    names : one for each input.
    places : where each is in a line; empty where the first line is a header that says so.
    codes : numbers by texts, of the inputs that are categories.
    marks : texts that stand for no value.
    """

    names: Sequence[str]
    places: Sequence[int]
    codes: Mapping[int, Mapping[str, int]]
    marks: Sequence[str]


_HEAD = """\

#ifdef FASTMLP_MAIN
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char line[64 * INPUTS + 65536];

/* Whether a field of a line is a finite number, which is written to *value. */
static int is_number(const char *field, real *value) {
  char *end;
  *value = (real)strtod(field, &end);
  return end != field && isfinite(*value) && end[strspn(end, " \\t\\r\\n")] == '\\0';
}

static void print_prediction(const real *x) {
  real out[OUTPUTS];
  predict(x, out);
@PRINT_CLASS@  for (int o = 0; o < OUTPUTS; ++o)
    printf("%.@DIGITS@g%c", (double)out[o], o < OUTPUTS - 1 ? ',' : '\\n');
}

"""
_OF_NUMBERS = """\
/* Whether the line is INPUTS numbers separated by commas, which are written to x. */
static int is_sample(real *x) {
  int i = 0;
  for (char *field = line; field; ++i) {
    char *comma = strchr(field, ',');
    if (comma) *comma++ = '\\0';
    if (i == INPUTS || !is_number(field, &x[i])) return 0;
    field = comma;
  }
  return i == INPUTS;
}

/* Reads one sample a line, of which the first may be a header, and prints a line for each. */
int main(void) {
  real x[INPUTS];
  for (long number = 1; fgets(line, sizeof line, stdin); ++number) {
    const int is_whole = strchr(line, '\\n') || feof(stdin);
    if (is_whole && is_sample(x)) {
      print_prediction(x);
    } else if (number > 1 || !is_whole || is_number(line, x)) { /* a header does not begin with a number */
      fprintf(stderr, "line %ld is not %d numbers separated by commas\\n", number, INPUTS);
      return 1;
    }
  }
  return 0;
}
#endif
"""
_OF_COLUMNS = """\
static const char *const names[INPUTS] = {@NAMES@};
static const char *const marks[] = {@MARKS@}; /* stand for no value */
static const char is_text[INPUTS] = {@IS_TEXT@};
static const struct { int input; const char *text; int code; } texts[] = {@TEXTS@};
enum { FIELDS = INPUTS + 1024 };
static int input_of[FIELDS]; /* the input that each field of a line is, -1 for none */

/* The next field of a line, without its quotes and the spaces around it; *rest is NULL after the last. */
static char *next_field(char **rest) {
  char *field = *rest, *to = field, *from = field;
  if (*from == '"')
    for (++from; *from && (*from != '"' || *++from == '"');) *to++ = *from++;
  else
    while (*from && *from != ',') *to++ = *from++;
  *rest = *from == ',' ? from + 1 : NULL;
  *to = '\\0';
  field += strspn(field, " \\t");
  for (to = field + strlen(field); to > field && strchr(" \\t", to[-1]);) *--to = '\\0';
  return field;
}

/* Whether a field can be an input, which is written to *value: NAN for no value, -1 for an unknown category. */
static int is_value(int input, const char *field, real *value) {
  *value = NAN;
  for (size_t m = 0; m < sizeof marks / sizeof *marks; ++m)
    if (!strcmp(field, marks[m])) return 1;
  if (!is_text[input]) return is_number(field, value);
  *value = -1;
  for (size_t t = 0; t < sizeof texts / sizeof *texts; ++t)
    if (texts[t].input == input && !strcmp(field, texts[t].text)) *value = (real)texts[t].code;
  return 1;
}

static int is_line(void) {
  const int is_whole = fgets(line, sizeof line, stdin) && (strchr(line, '\\n') || feof(stdin));
  line[strcspn(line, "\\r\\n")] = '\\0';
  return is_whole;
}

/* Finds out which fields are inputs; the number of the first input that is not among them, or INPUTS. */
static int read_header(void) {
  int seen[INPUTS] = {0};
@HEADER@  for (int i = 0; i < INPUTS; ++i)
    if (!seen[i]) return i;
  return INPUTS;
}

/* Reads a table of one sample a line and prints a line for each. */
int main(void) {
  const int lacking = read_header();
  if (lacking < INPUTS) {
    fprintf(stderr, "line 1 lacks the column %s; commas are to separate the columns\\n", names[lacking]);
    return 1;
  }
  for (long number = @FIRST@; is_line(); ++number) {
    real x[INPUTS];
    int found = 0, f = 0;
    if (!*line) continue;
    for (char *rest = line; rest && f < FIELDS; ++f) {
      const char *field = next_field(&rest);
      if (input_of[f] < 0) continue;
      if (!is_value(input_of[f], field, &x[input_of[f]])) {
        fprintf(stderr, "line %ld: '%s' in the column %s is no number\\n", number, field, names[input_of[f]]);
        return 1;
      }
      ++found;
    }
    if (found < INPUTS) {
      fprintf(stderr, "line %ld has %d fields, too few\\n", number, f);
      return 1;
    }
    print_prediction(x);
  }
  if (!feof(stdin)) {
    fprintf(stderr, "a line is too long\\n");
    return 1;
  }
  return 0;
}
#endif
"""
_HEADER = """\
  char *rest = is_line() ? line : NULL;
  if (rest && !strncmp(rest, "\\357\\273\\277", 3)) rest += 3; /* the mark of UTF-8 */
  for (int f = 0; f < FIELDS; ++f) {
    const char *field = rest ? next_field(&rest) : "";
    input_of[f] = -1;
    for (int i = 0; i < INPUTS; ++i)
      if (!seen[i] && !strcmp(field, names[i])) seen[input_of[f] = i] = 1;
  }
"""
_PLACES = """\
  static const int places[INPUTS] = {@PLACES@};
  for (int f = 0; f < FIELDS; ++f) input_of[f] = -1;
  for (int i = 0; i < INPUTS; ++i) seen[input_of[places[i]] = i] = 1;
"""


def main_of(columns: Columns | None) -> str:
    """Return the text of the program, in which @PRINT_CLASS@ and @DIGITS@ are left open.

    columns are those of a table; None for samples that are numbers only.
    """
    if columns is None:
        return _HEAD + _OF_NUMBERS
    texts = [(i, text, code) for i, codes in columns.codes.items() for text, code in codes.items()]
    entries = ",\n".join(f"{{{i}, {quoted(text)}, {code}}}" for i, text, code in texts) or '{-1, "", 0}'
    values = {
        "@HEADER@": _PLACES if columns.places else _HEADER,
        "@FIRST@": "1" if columns.places else "2",
        "@PLACES@": ", ".join(map(str, columns.places)),
        "@NAMES@": ", ".join(map(quoted, columns.names)),
        "@MARKS@": ", ".join(map(quoted, ("", *columns.marks))),
        "@IS_TEXT@": ", ".join(str(int(i in columns.codes)) for i in range(len(columns.names))),
        "@TEXTS@": entries,
    }
    text = _HEAD + _OF_COLUMNS
    for name, value in values.items():
        text = text.replace(name, value)
    return text


def quoted(text: str) -> str:
    r"""A string literal; what is not plain ASCII in octal, after which, unlike after \x, three digits are the end."""
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\?@' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(plain)}"'
