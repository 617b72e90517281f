/*
 * Reading and splitting the demo's data.
 */
#include "demo_input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX      ((size_t)1 << 30) /* bytes taken of an input */
#define LINE_MAX_BYTES 65536u            /* a longer line becomes several records */
#define LINE_DIGITS    10u               /* of a line's key */
#define KEY_MAX        65535u

static const char index_command[] = "apt-cache dumpavail 2>/dev/null";

static const char *const other_files[] = {
    "/var/lib/dpkg/status", "/lib/apk/db/installed", "/usr/share/dict/words",
    "/etc/services",        "/etc/passwd",
};

static bool out_of_memory(void)
{
    fprintf(stderr, "demo: out of memory\n");
    return false;
}

/* ---- reading ---------------------------------------------------------------------------- */

static bool read_all(input *in, FILE *f)
{
    size_t cap = 0;
    for (;;) {
        if (in->text_len == cap) {
            if (cap == INPUT_MAX)
                break;
            cap = cap == 0 ? (size_t)1 << 20 : cap * 2;
            char *grown = realloc(in->text, cap);
            if (grown == NULL)
                return out_of_memory();
            in->text = grown;
        }
        size_t got = fread(in->text + in->text_len, 1, cap - in->text_len, f);
        in->text_len += got;
        if (got == 0)
            break;
    }
    if (ferror(f) != 0) {
        fprintf(stderr, "demo: cannot read %s: %s\n", in->origin, strerror(errno));
        return false;
    }
    if (in->text_len == INPUT_MAX && fgetc(f) != EOF)
        printf("%s is longer than 1 GiB: only the first part is used.\n", in->origin);
    return true;
}

static bool read_file(input *in, const char *path)
{
    in->origin = path;
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        fprintf(stderr, "demo: cannot open %s: %s\n", path, strerror(errno));
        return false;
    }
    bool ok = read_all(in, f);
    fclose(f);
    return ok;
}

/** Where the command is missing or fails the answer is an empty text. */
static bool read_index(input *in)
{
    in->origin = "the package index (apt-cache dumpavail)";
    FILE *f = popen(index_command, "r");
    if (f == NULL)
        return true;
    bool ok = read_all(in, f);
    if (pclose(f) != 0)
        in->text_len = 0;
    return ok;
}

static bool exists(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return false;
    bool filled = fgetc(f) != EOF;
    fclose(f);
    return filled;
}

static bool read_something(input *in, const char *self)
{
    if (!read_index(in))
        return false;
    if (in->text_len > 0)
        return true;
    const char *found = self;
    for (size_t i = 0; i < sizeof other_files / sizeof *other_files && found == self; i++)
        if (exists(other_files[i]))
            found = other_files[i];
    printf("There is no package index here (apt-cache is missing or prints nothing): taking %s.\n",
           found);
    return read_file(in, found);
}

/* ---- splitting -------------------------------------------------------------------------- */

static bool add_record(input *in, size_t *cap, record r)
{
    if (in->count == *cap) {
        size_t more = *cap == 0 ? 4096 : *cap * 2;
        record *grown = realloc(in->records, more * sizeof *grown);
        if (grown == NULL)
            return out_of_memory();
        in->records = grown;
        *cap = more;
    }
    in->records[in->count++] = r;
    return true;
}

static const char *find_line_end(const char *p, const char *end)
{
    const char *nl = memchr(p, '\n', (size_t)(end - p));
    return nl == NULL ? end : nl;
}

static bool starts_with(const char *p, const char *end, const char *word)
{
    size_t len = strlen(word);
    return (size_t)(end - p) >= len && memcmp(p, word, len) == 0;
}

/** The text behind "Package:", without the space around it. */
static void take_name(record *r, const char *line, const char *line_end)
{
    const char *from = line + strlen("Package:");
    while (from < line_end && *from == ' ')
        from++;
    while (line_end > from && (line_end[-1] == ' ' || line_end[-1] == '\r'))
        line_end--;
    r->key = from;
    r->key_len = (size_t)(line_end - from);
}

/** A stanza ends at an empty line; it counts where it names a package. */
static bool split_stanzas(input *in)
{
    const char *p = in->text;
    const char *end = in->text + in->text_len;
    size_t cap = 0;
    while (p < end) {
        record r = {NULL, p, 0, 0};
        while (p < end && *p != '\n') {
            const char *line_end = find_line_end(p, end);
            if (r.key == NULL && starts_with(p, line_end, "Package:"))
                take_name(&r, p, line_end);
            p = line_end < end ? line_end + 1 : end;
        }
        r.value_len = (size_t)(p - r.value);
        if (r.key_len > 0 && r.key_len <= KEY_MAX && !add_record(in, &cap, r))
            return false;
        p++;
    }
    return true;
}

static bool split_lines(input *in)
{
    const char *end = in->text + in->text_len;
    size_t cap = 0;
    for (const char *p = in->text; p < end;) {
        const char *line_end = find_line_end(p, end);
        bool cut = (size_t)(line_end - p) > LINE_MAX_BYTES;
        if (cut)
            line_end = p + LINE_MAX_BYTES;
        if (!add_record(in, &cap, (record){NULL, p, 0, (size_t)(line_end - p)}))
            return false;
        p = cut ? line_end : line_end + 1;
    }

    in->keys = malloc(in->count * LINE_DIGITS + 1);
    if (in->keys == NULL)
        return out_of_memory();
    for (size_t i = 0; i < in->count; i++) {
        char *key = in->keys + i * LINE_DIGITS;
        size_t number = i + 1;
        for (size_t d = LINE_DIGITS; d-- > 0; number /= 10)
            key[d] = (char)('0' + number % 10);
        in->records[i].key = key;
        in->records[i].key_len = LINE_DIGITS;
    }
    return true;
}

/* ---- order ------------------------------------------------------------------------------ */

int key_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return order != 0 ? order : (a_len > b_len) - (a_len < b_len);
}

/** By key, and of one key the older first. */
static int compare_records(const void *a, const void *b)
{
    const record *x = *(const record *const *)a;
    const record *y = *(const record *const *)b;
    int order = key_compare(x->key, x->key_len, y->key, y->key_len);
    return order != 0 ? order : (x > y) - (x < y);
}

static bool sort_records(input *in)
{
    in->sorted = malloc((in->count + 1) * sizeof *in->sorted);
    if (in->sorted == NULL)
        return out_of_memory();
    for (size_t i = 0; i < in->count; i++)
        in->sorted[i] = &in->records[i];
    qsort(in->sorted, in->count, sizeof *in->sorted, compare_records);

    for (size_t i = 0; i < in->count; i++) {
        const record *r = in->sorted[i];
        const record *next = i + 1 < in->count ? in->sorted[i + 1] : NULL;
        if (next != NULL && key_compare(r->key, r->key_len, next->key, next->key_len) == 0)
            continue;
        in->sorted[in->unique++] = r;
        in->bytes += r->key_len + r->value_len;
    }
    return true;
}

size_t input_lower_bound(const input *in, const char *key, size_t key_len)
{
    size_t low = 0;
    size_t high = in->unique;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const record *r = in->sorted[mid];
        if (key_compare(r->key, r->key_len, key, key_len) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool input_has(const input *in, const char *key, size_t key_len)
{
    size_t i = input_lower_bound(in, key, key_len);
    return i < in->unique &&
           key_compare(in->sorted[i]->key, in->sorted[i]->key_len, key, key_len) == 0;
}

bool has_prefix(const record *r, const char *prefix, size_t prefix_len)
{
    return r->key_len >= prefix_len && memcmp(r->key, prefix, prefix_len) == 0;
}

/* ---- all of it -------------------------------------------------------------------------- */

bool input_load(input *in, const char *file, const char *self)
{
    memset(in, 0, sizeof *in);
    if (file != NULL ? !read_file(in, file) : !read_something(in, self))
        return false;

    const char *first = in->text;
    const char *end = in->text + in->text_len;
    while (first < end && *first == '\n')
        first++;
    in->stanzas = first < end && starts_with(first, end, "Package:");
    if (in->stanzas ? !split_stanzas(in) : !split_lines(in))
        return false;
    if (in->count == 0) {
        fprintf(stderr, "demo: there is no record in %s\n", in->origin);
        return false;
    }
    return sort_records(in);
}

void input_free(input *in)
{
    free(in->text);
    free(in->keys);
    free(in->records);
    free(in->sorted);
    memset(in, 0, sizeof *in);
}
