/*
 * The histogram's cells: below 2^6 ns one for each value; above, the six bits behind the leading
 * one choose a cell within its power of two.
 */
#include "latency.h"

#include <string.h>

#define SUB_CELLS (1u << LATENCY_SUB_BITS)

static unsigned top_bit(uint64_t v)
{
    unsigned bit = 0;
    while (v >>= 1)
        bit++;
    return bit;
}

static unsigned cell_of(uint64_t ns)
{
    if (ns < SUB_CELLS)
        return (unsigned)ns;
    unsigned power = top_bit(ns) - LATENCY_SUB_BITS;
    if (power >= LATENCY_POWERS)
        return LATENCY_CELLS - 1;
    return ((power + 1) << LATENCY_SUB_BITS) + (unsigned)((ns >> power) - SUB_CELLS);
}

/** The largest duration that falls into the cell. */
static uint64_t cell_end(unsigned cell)
{
    if (cell < SUB_CELLS)
        return cell;
    unsigned power = (cell >> LATENCY_SUB_BITS) - 1;
    uint64_t first = ((uint64_t)(cell & (SUB_CELLS - 1)) + SUB_CELLS) << power;
    return first + ((UINT64_C(1) << power) - 1);
}

void latency_init(latency *l)
{
    memset(l, 0, sizeof *l);
}

void latency_add(latency *l, uint64_t ns)
{
    l->cells[cell_of(ns)]++;
    l->count++;
    if (ns > l->max)
        l->max = ns;
}

void latency_merge(latency *into, const latency *from)
{
    for (unsigned i = 0; i < LATENCY_CELLS; i++)
        into->cells[i] += from->cells[i];
    into->count += from->count;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t latency_percentile(const latency *l, double share)
{
    if (l->count == 0)
        return 0;
    uint64_t rank = (uint64_t)(share * (double)l->count + 0.5);
    if (rank == 0)
        rank = 1;
    uint64_t seen = 0;
    for (unsigned i = 0; i < LATENCY_CELLS; i++) {
        seen += l->cells[i];
        if (seen >= rank)
            return cell_end(i) < l->max ? cell_end(i) : l->max;
    }
    return l->max;
}
