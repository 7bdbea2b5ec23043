/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an attempt may be sent now: the budget of failures that the calls to one endpoint share.
 * Pure. */
#include "http/http.h"

#define TOKENS_AT_START 10.0
#define TOKENS_MAX 100.0
#define TOKENS_TO_OPEN 10.0
#define SHARE_OF_FAILURES 0.2 /* for each success */
#define OUTAGE_FAILURES 5

void gate_init(struct gate *g, int64_t interval_ns)
{
    *g = (struct gate){.interval_ns = interval_ns, .tokens = TOKENS_AT_START};
}

bool gate_is_outage(const struct gate *g)
{
    return g->in_a_row >= OUTAGE_FAILURES;
}

enum gate_turn gate_enter(struct gate *g, int64_t now_ns)
{
    if (!g->is_careful)
        return GATE_FREE;
    if (!gate_is_outage(g) && g->tokens >= 1) {
        g->tokens -= 1;
        return GATE_PAID;
    }
    if (now_ns < g->probe_ns)
        return GATE_WAIT;
    g->probe_ns = now_ns + g->interval_ns;
    return GATE_PROBE;
}

static void put(struct gate *g, double amount)
{
    g->tokens = g->tokens + amount < TOKENS_MAX ? g->tokens + amount : TOKENS_MAX;
}

static void fail(struct gate *g, enum gate_turn turn, int64_t now_ns)
{
    if (turn == GATE_FREE)
        g->tokens = g->tokens > 1 ? g->tokens - 1 : 0;
    if (!gate_is_outage(g))
        g->in_a_row++;
    if (g->tokens < 1 || gate_is_outage(g))
        g->is_careful = true;
    /* The probe that a success made possible is off; one that is later stays where it is, or
     * attempts that fail one after the other would put it off for ever. */
    if (g->is_careful && g->probe_ns <= now_ns)
        g->probe_ns = now_ns + g->interval_ns;
}

void gate_leave(struct gate *g, enum gate_turn turn, enum gate_end end, int64_t now_ns)
{
    if (turn == GATE_PAID && end != GATE_FAILURE)
        put(g, 1);
    if (end == GATE_FAILURE)
        fail(g, turn, now_ns);
    if (end == GATE_NOT_SENT && turn == GATE_PROBE)
        g->probe_ns = now_ns;
    if (end != GATE_SUCCESS)
        return;
    put(g, SHARE_OF_FAILURES);
    g->in_a_row = 0;
    if (turn == GATE_PROBE) /* a chain of probes ends with one failure: still one failure for each
                               interval */
        g->probe_ns = now_ns;
    if (g->tokens >= TOKENS_TO_OPEN)
        g->is_careful = false;
}
