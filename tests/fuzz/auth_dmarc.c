/* auth_dmarc.c: DMARC records, their URIs, the linter, and evaluations. Lines: author domain, an identifier, then the
 * TXT records in the order in which they are asked for. */
#include "auth_lines.h"
#include <behalf/dmarc.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_checked(void *ctx, const struct bh_dmarc_outcome *outcome)
{
    ++*(unsigned *)ctx;
    if (!outcome->reason.n || outcome->queries > 32)
        abort();
}

static void on_destination(void *ctx, const struct bh_dmarc_destination_outcome *outcome)
{
    ++*(unsigned *)ctx;
}

static void on_problem(void *ctx, const struct bh_lint_problem *problem)
{
    if (!problem->text.n)
        abort();
}

static void read_record(bh_str text)
{
    struct bh_dmarc_record record;
    struct bh_dmarc_uri uri;

    (void)bh_dmarc_lint(text, on_problem, NULL);
    if (bh_dmarc_record_parse(text, &record))
        return;
    while (bh_dmarc_uri_next(&record.rua, &uri))
        if (!uri.host.n)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines_resolver lines = {.base = {&lines_ops}, .rest = bh_str_of((const char *)data, size)};
    struct bh_dmarc_request request = {.header_from = lines_next(&lines.rest), .spf = BH_SPF_PASS, .trace = true};
    struct bh_dmarc_dkim signature = {.pass = true};
    struct bh_dmarc_check *check = NULL;
    struct bh_dmarc_destination_check *destination = NULL;
    unsigned calls = 0;
    bh_str first;

    request.spf_domain = signature.domain = lines_next(&lines.rest);
    request.dkim = &signature;
    request.dkim_count = 1;
    first = bh_str_sub(lines.rest, 0, bh_str_find(lines.rest, '\n'));
    read_record(first);
    if (bh_dmarc_check(&lines.base, &request, on_checked, &calls, &check) || check || calls != 1)
        abort();
    if (bh_dmarc_destination_check(&lines.base, request.header_from, first, NULL, on_destination, &calls,
                                   &destination) ||
        destination || calls != 2)
        abort();
    return 0;
}
