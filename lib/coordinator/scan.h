/*
 * A page of a walk, as the scan*.c files share it.
 *
 *   scan.c        where the walk stands, whom to ask, when the page ends
 *   scan_merge.c  one page from those of several replicas
 *
 * 1. The walk is in the order of (token, key). It stands behind a (token, key); an empty key is
 *    before the first of that token.
 * 2. A round asks r primaries of one partition for what is behind that place. What they say
 *    together is known up to the least of the last entries of those that have more; the walk then
 *    stands there.
 * 3. Stand-ins are not asked: what they were not given they cannot miss. Where r primaries cannot
 *    be reached the walk is unavailable, though gets may still find what stand-ins hold.
 * 4. Each round has an id of its own, so a late answer is not taken for another place.
 */
#ifndef KVI_COORDINATOR_SCAN_H
#define KVI_COORDINATOR_SCAN_H

#include "coordinator/impl.h"

#define KVI_SCANNER_PARTITIONS 64u /* of one page */
#define KVI_SCANNER_SENDS      4u
#define KVI_SCANNER_CURSOR_LEN 8u /* of the token in request.resume; the key follows */

enum kvi_page_state { KVI_PAGE_UNASKED, KVI_PAGE_ASKED, KVI_PAGE_ANSWERED, KVI_PAGE_FAILED };

/** What one replica says. */
typedef struct kvi_replica_page {
    uint64_t node;
    uint8_t state;
    bool slow;
    uint8_t sends;
    uint64_t slow_ns, resend_ns, pause_ns;
    kvi_buf items; /* kvi_wire_entry */
    uint32_t count;
    bool more;
} kvi_replica_page;

typedef struct kvi_scanner {
    kvi_job job;
    kvi_request *request; /* NULL once it is finished */
    uint64_t deadline_ns;
    bool begun;    /* the ring was there, and the walk stands somewhere */
    bool one_part; /* of one token */
    bool asking;   /* a round is under way */
    uint64_t token;
    kvi_buf after;
    uint64_t token_to;           /* of the round: the last of the partition, or of the part */
    unsigned partitions, rounds; /* that are behind */
    kvi_plan plan;
    kvi_replica_page pages[KVI_RING_N_MAX];
    int failure;

    /* the own replica */
    kvi_store_scan scan;
    kvi_buf from, to, found;
    bool scanning;
    uint64_t scan_id; /* of the round that it was for */
} kvi_scanner;

/** What merging came to. */
enum kvi_scanner_end {
    KVI_SCANNER_FRONTIER, /* all that is known; the walk goes on behind it, in the same tokens */
    KVI_SCANNER_THROUGH,  /* nothing is left up to token_to */
    KVI_SCANNER_FULL,     /* the page is full */
    KVI_SCANNER_PAST      /* behind the last key of the prefix */
};

/** Appends to the request what the replicas that have answered say together, and moves the walk. */
int kvi_scanner_merge(kvi_scanner *s, enum kvi_scanner_end *end) KVI_NODISCARD;

/** The page has as much as was asked for: so many entries, or so many bytes and an entry. */
bool kvi_scanner_page_full(const kvi_request *r);

#endif
