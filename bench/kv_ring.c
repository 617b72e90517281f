/*
 * Measures the rule of ownership: how even the loads are, and how much a join moves, while a ring
 * grows from 3 members to 1,000, one at a time.
 *
 *   kv_ring [SVG]
 *
 * Prints a line for each size, separated by tabs: members, load of the most loaded over the mean
 * (of primaries, then of replicas), partitions moved by the join over the newcomer's ideal share.
 * Rings of up to 64 members have 2^10 partitions, larger ones 2^14. SVG: where a plot of it is
 * written.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "ring/ring.h"

#define MEMBERS_FIRST 3u
#define MEMBERS_MAX   1000u
#define MEMBERS_SMALL 64u
#define BITS_SMALL    10u
#define BITS_LARGE    14u
#define REPLICAS      3u

typedef struct sample {
    unsigned members;
    double primary, replica, moved;
} sample;

static void fail(const char *what)
{
    fprintf(stderr, "kv_ring: %s\n", what);
    exit(EXIT_FAILURE);
}

/* --- measuring ------------------------------------------------------------------------------- */

static uint64_t id_of(unsigned i)
{
    return kvi_mix64(i + 1);
}

static kvi_ring *create(const kvi_mem *mem, unsigned bits)
{
    kvi_ring_params params = {.token_seed = 1,
                              .bits = (uint8_t)bits,
                              .first = {id_of(0), 1, "", ""},
                              .policy = {REPLICAS, KV_QUORUM, KV_QUORUM, 0, 0, 0}};
    kvi_ring *ring;

    if (kvi_ring_create(mem, &params, &ring))
        fail(kv_error_detail());
    return ring;
}

static kvi_ring *join(kvi_ring *ring, unsigned i)
{
    kvi_ring_member member = {id_of(i), 1, "", ""};
    kvi_ring *made;

    if (kvi_ring_join(ring, &member, &made))
        fail(kv_error_detail());
    return made;
}

/* The most loaded member's load over the mean. */
static double top_load(const kvi_ring *ring, unsigned n)
{
    static uint32_t load[MEMBERS_MAX];
    uint32_t count, top = 0, q = UINT32_C(1) << kvi_ring_bits(ring);
    const kvi_ring_member *members = kvi_ring_members(ring, &count);

    for (uint32_t i = 0; i < count; i++)
        load[i] = 0;
    for (uint32_t p = 0; p < q; p++) {
        uint64_t nodes[REPLICAS];
        unsigned found = kvi_ring_walk(ring, p, n, nodes, n);

        for (unsigned i = 0; i < found; i++)
            load[kvi_ring_member_of(ring, nodes[i]) - members]++;
    }
    for (uint32_t i = 0; i < count; i++)
        top = load[i] > top ? load[i] : top;
    return (double)top * count / q / kvi_ring_effective_n(ring, n);
}

static uint32_t moved(const kvi_ring *a, const kvi_ring *b)
{
    uint32_t count = 0;

    for (uint32_t p = 0; p < UINT32_C(1) << kvi_ring_bits(a); p++)
        count += kvi_ring_owner(a, p) != kvi_ring_owner(b, p);
    return count;
}

/* Grows a ring to last members and writes what is seen at first and all sizes behind it. */
static sample *grow(const kvi_mem *mem, unsigned bits, unsigned first, unsigned last, sample *s)
{
    kvi_ring *ring = create(mem, bits);

    for (unsigned members = 2; members <= last; members++) {
        kvi_ring *made = join(ring, members - 1);

        if (members >= first) {
            s->members = members;
            s->primary = top_load(made, 1);
            s->replica = top_load(made, REPLICAS);
            s->moved = (double)moved(ring, made) * members / (UINT32_C(1) << bits);
            s++;
        }
        kvi_ring_free(ring);
        ring = made;
    }
    kvi_ring_free(ring);
    return s;
}

/* --- the plot -------------------------------------------------------------------------------- */

/* Members on a logarithmic axis, ratios from RATIO_MIN to RATIO_MAX. */
#define PLOT_LEFT   70.0
#define PLOT_TOP    50.0
#define PLOT_WIDTH  760.0
#define PLOT_HEIGHT 340.0
#define RATIO_MIN   0.90
#define RATIO_MAX   1.15

/* log2 by halving and squaring: enough for a plot, and no library. */
static double log2_of(double x)
{
    double log = 0, bit = 1;

    for (; x >= 2; x /= 2)
        log += 1;
    for (int i = 0; i < 20; i++) {
        bit /= 2;
        x *= x;
        if (x >= 2) {
            x /= 2;
            log += bit;
        }
    }
    return log;
}

static double x_of(unsigned members)
{
    double first = log2_of(MEMBERS_FIRST), last = log2_of(MEMBERS_MAX);

    return PLOT_LEFT + PLOT_WIDTH * (log2_of(members) - first) / (last - first);
}

static double y_of(double ratio)
{
    return PLOT_TOP + PLOT_HEIGHT * (RATIO_MAX - ratio) / (RATIO_MAX - RATIO_MIN);
}

static void draw_axes(FILE *f)
{
    static const unsigned ticks[] = {3, 5, 10, 20, 50, 100, 200, 500, 1000};
    double bottom = PLOT_TOP + PLOT_HEIGHT, right = PLOT_LEFT + PLOT_WIDTH;

    for (int percent = 90; percent <= 115; percent += 5) {
        double y = y_of(percent / 100.0);

        fprintf(f, "<path d='M%.1f %.1fH%.1f' stroke='%s'/>\n", PLOT_LEFT, y, right,
                percent == 110 ? "#c33' stroke-dasharray='6 4" : "#ddd");
        fprintf(f, "<text x='%.1f' y='%.1f' text-anchor='end'>%.2f</text>\n", PLOT_LEFT - 8, y + 4,
                percent / 100.0);
    }
    for (size_t i = 0; i < sizeof ticks / sizeof ticks[0]; i++) {
        fprintf(f, "<path d='M%.1f %.1fv6' stroke='#333'/>\n", x_of(ticks[i]), bottom);
        fprintf(f, "<text x='%.1f' y='%.1f' text-anchor='middle'>%u</text>\n", x_of(ticks[i]),
                bottom + 20, ticks[i]);
    }
    fprintf(f, "<path d='M%.1f %.1fV%.1fH%.1f' fill='none' stroke='#333'/>\n", PLOT_LEFT, PLOT_TOP,
            bottom, right);
    fprintf(f,
            "<text x='%.1f' y='%.1f' text-anchor='middle'>members (2^%u partitions up to %u, "
            "then 2^%u)</text>\n",
            PLOT_LEFT + PLOT_WIDTH / 2, bottom + 42, BITS_SMALL, MEMBERS_SMALL, BITS_LARGE);
    fprintf(f,
            "<text transform='translate(20 %.1f) rotate(-90)' text-anchor='middle'>ratio to the "
            "ideal</text>\n",
            PLOT_TOP + PLOT_HEIGHT / 2);
}

static void draw_line(FILE *f, const sample *samples, unsigned count, size_t at, const char *colour,
                      const char *label, unsigned row)
{
    double y = PLOT_TOP + 16 + 18 * row, x = PLOT_LEFT + 20;

    fprintf(f, "<polyline fill='none' stroke='%s' points='", colour);
    for (unsigned i = 0; i < count; i++) {
        const double *ratio = (const double *)(const void *)((const char *)&samples[i] + at);

        fprintf(f, "%.1f,%.1f ", x_of(samples[i].members), y_of(*ratio));
    }
    fprintf(f, "'/>\n<path d='M%.1f %.1fh24' stroke='%s' stroke-width='3'/>\n", x, y - 4, colour);
    fprintf(f, "<text x='%.1f' y='%.1f'>%s</text>\n", x + 32, y, label);
}

static void plot(const char *path, const sample *samples, unsigned count)
{
    FILE *f = fopen(path, "w");

    if (!f)
        fail("cannot write the plot");
    fprintf(f, "<svg xmlns='http://www.w3.org/2000/svg' width='860' height='450' "
               "font-family='sans-serif' font-size='12'>\n"
               "<rect width='860' height='450' fill='white'/>\n"
               "<text x='70' y='30' font-size='15'>Loads and movement while a ring grows, N = 3"
               "</text>\n");
    draw_axes(f);
    draw_line(f, samples, count, offsetof(sample, moved), "#2a2",
              "partitions moved by a join / newcomer's share", 0);
    draw_line(f, samples, count, offsetof(sample, replica), "#e80", "replica load, max / mean", 1);
    draw_line(f, samples, count, offsetof(sample, primary), "#14c", "primary load, max / mean", 2);
    fprintf(f, "</svg>\n");
    if (fclose(f))
        fail("cannot write the plot");
}

int main(int argc, char **argv)
{
    static sample samples[MEMBERS_MAX];
    sample *end = samples;
    unsigned count;
    kvi_mem mem;

    if (argc > 2)
        fail("usage: kv_ring [SVG]");
    kvi_mem_init(&mem, NULL);
    end = grow(&mem, BITS_SMALL, MEMBERS_FIRST, MEMBERS_SMALL, end);
    end = grow(&mem, BITS_LARGE, MEMBERS_SMALL + 1, MEMBERS_MAX, end);
    count = (unsigned)(end - samples);
    printf("members\tprimary_max_mean\treplica_max_mean\tmoved_ideal\n");
    for (unsigned i = 0; i < count; i++)
        printf("%u\t%.4f\t%.4f\t%.4f\n", samples[i].members, samples[i].primary, samples[i].replica,
               samples[i].moved);
    if (argc == 2)
        plot(argv[1], samples, count);
    return EXIT_SUCCESS;
}
