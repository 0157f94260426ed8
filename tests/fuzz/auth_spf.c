/* auth_spf.c: SPF checks and the linter. Lines: sender, HELO, then the TXT records in the order in which they are
 * asked for. The first byte of the sender chooses the client's family. */
#include "auth_lines.h"
#include <behalf/spf.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_checked(void *ctx, const struct bh_spf_outcome *outcome)
{
    ++*(unsigned *)ctx;
    for (size_t i = 0; i < outcome->reason.n; i++)
        if (outcome->reason.p[i] < ' ' || outcome->reason.p[i] > '~')
            abort();
    for (size_t i = 0; i < outcome->explanation.n; i++)
        if (outcome->explanation.p[i] < ' ' || outcome->explanation.p[i] > '~')
            abort();
    if (outcome->terms > 11 || outcome->voids > 3 || !outcome->reason.n)
        abort();
}

static void on_problem(void *ctx, const struct bh_lint_problem *problem)
{
    if (!problem->text.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lines_resolver lines = {.base = {&lines_ops}, .rest = bh_str_of((const char *)data, size)};
    struct bh_spf_request request = {.mail_from = lines_next(&lines.rest), .trace = true};
    struct bh_spf_check *check = NULL;
    unsigned calls = 0;
    bool is_ip6 = request.mail_from.n && (unsigned char)request.mail_from.p[0] % 2;

    request.helo = lines_next(&lines.rest);
    if (bh_ip_parse(is_ip6 ? BH_STR("2001:db8::1") : BH_STR("192.0.2.1"), &request.ip))
        abort();
    (void)bh_spf_lint(lines.rest.p ? bh_str_sub(lines.rest, 0, bh_str_find(lines.rest, '\n')) : lines.rest, on_problem,
                      NULL);
    if (bh_spf_check(&lines.base, &request, on_checked, &calls, &check) || check || calls != 1)
        abort();
    return 0;
}
