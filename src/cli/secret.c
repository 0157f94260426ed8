/* secret.c: `behalf secret status|rotate`: exchanging the master secret.
 *
 * The file belongs to the operator and to master, who hands it to keyd; nobody else can read it. So the command, run as
 * root, writes it: the new secret and the old one at once, durably, before anything is sealed by it; and without the
 * old one when everything has been sealed again. Between the two everything goes on by itself, and the command, run
 * again, goes on where it was. */
#include "roles/secret.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/text.h"
#include "commands.h"
#include "control.h"
#include "mail/verp.h"
#include "roles/master/config_file.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { POLL_MS = 300 };

static const char help[] =
    "usage: behalf secret status\n"
    "       behalf secret rotate\n"
    "\n"
    "The master secret, which seals every private key that behalf has made or was given. rotate makes a new one, has\n"
    "everything sealed again while mail goes on, and then drops the old one; interrupted, it goes on when it is\n"
    "called again. Run it as the user that runs `behalf serve` (root, usually). Copies of the state made before the\n"
    "exchange need the old secret: keep it for as long as you keep them, and put a copy of the new one in a safe\n"
    "place. See behalf-secret(1).\n";

struct secret_file {
    int folder; /* locked: one exchange at a time */
    uint32_t bounce_keep_s;
    struct bh_secrets secrets;
};

/* ---- the file ---- */

static int open_folder(const struct bh_cli *cli, struct secret_file *file)
{
    struct bh_buf problems = bh_buf_make(1 << 16), path = bh_buf_make(4096);
    struct bh_config *config = NULL;
    int status = BH_EXIT_OK;

    if (bh_config_file_read(cli->config_path, &config, &problems)) {
        status = bh_cli_fail("secret", "%.*s", BH_FMT(bh_str_trim(bh_buf_view(&problems))));
    } else {
        bh_buf_printf(&path, "%.*s/keys", BH_FMT(config->state_dir));
        bh_buf_char(&path, '\0');
        file->bounce_keep_s = config->bounce_keep_s;
        file->folder = bh_buf_err(&path) ? -1 : open(path.p, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (file->folder < 0)
            status = bh_cli_fail("secret", "cannot open %s: %m; run this as the user that runs behalf", path.p);
        else if (flock(file->folder, LOCK_EX | LOCK_NB) != 0)
            status = bh_cli_fail("secret", "another `behalf secret` is at work");
    }
    bh_buf_free(&problems);
    bh_buf_free(&path);
    bh_config_free(config);
    return status;
}

static int read_secrets(struct secret_file *file)
{
    char text[BH_SECRET_FILE_MAX];
    int fd = openat(file->folder, "master.secret", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text));
    bh_err err = n < 0 ? BH_E_IO : bh_secrets_parse(bh_str_of(text, (size_t)n), &file->secrets);

    bh_wipe(text, sizeof(text));
    if (fd >= 0)
        (void)close(fd);
    return err ? bh_cli_fail("secret", "keys/master.secret cannot be read: %s", bh_err_text(err)) : BH_EXIT_OK;
}

static bool write_new(const struct secret_file *file, bh_str text)
{
    int fd;
    bool ok;

    (void)unlinkat(file->folder, "master.secret.new", 0);
    fd = openat(file->folder, "master.secret.new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
    if (fd < 0)
        return false;
    ok = write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
    return close(fd) == 0 && ok;
}

static int write_secrets(const struct secret_file *file)
{
    struct bh_buf text = bh_buf_make(BH_SECRET_FILE_MAX);
    bool ok;

    bh_secrets_put(&text, &file->secrets);
    ok = !bh_buf_err(&text) && write_new(file, bh_buf_view(&text)) &&
         renameat(file->folder, "master.secret.new", file->folder, "master.secret") == 0 && fsync(file->folder) == 0;
    if (text.p)
        bh_wipe(text.p, text.cap);
    bh_buf_free(&text);
    return ok ? BH_EXIT_OK : bh_cli_fail("secret", "keys/master.secret cannot be written: %m");
}

static void id_text(const uint8_t secret[BH_SECRET_BYTES], struct bh_buf *out)
{
    uint8_t id[BH_SECRET_ID_BYTES];

    bh_secret_id(secret, id);
    bh_hex_encode(out, bh_str_of((const char *)id, sizeof(id)));
    bh_buf_char(out, '\0');
}

/* ---- status ---- */

static int print_status(const struct bh_cli *cli, const struct secret_file *file)
{
    struct bh_buf id = bh_buf_make(64), old = bh_buf_make(64);
    int status;
    json_t *daemon = bh_control_ask(cli, "secret", "status", NULL, -1, &status);

    id_text(file->secrets.current, &id);
    id_text(file->secrets.old, &old);
    if (daemon && cli->json) {
        (void)json_object_set_new(daemon, "file", json_string(id.p));
        (void)json_object_set_new(daemon, "file_old", file->secrets.has_old ? json_string(old.p) : json_null());
        bh_cli_print_json(daemon);
    } else if (daemon) {
        (void)printf("master secret %s, in use: %s\n", id.p, bh_json_text(daemon, "secret"));
        if (file->secrets.has_old)
            (void)printf("an exchange is under way: %s still opens; `behalf secret rotate` ends it\n", old.p);
        (void)printf("sealed by the one in use: %s\n",
                     json_is_true(json_object_get(daemon, "complete")) ? "everything" : "not everything yet");
        (void)printf("periods of bounce addresses kept from before: %zu\n", file->secrets.bounce_count);
        json_decref(daemon);
    }
    bh_buf_free(&id);
    bh_buf_free(&old);
    return daemon ? BH_EXIT_OK : status;
}

/* ---- rotate ---- */

static int make_new(struct secret_file *file)
{
    uint32_t now = bh_verp_period(bh_clock_now()), kept = file->bounce_keep_s / BH_VERP_PERIOD_S + 1;
    uint8_t fresh[BH_SECRET_BYTES];
    bh_err err;

    bh_random_fill(&bh_random_os, fresh, sizeof(fresh));
    err = bh_secrets_rotate(&file->secrets, fresh, now > kept ? now - kept : 0, now + 1);
    bh_wipe(fresh, sizeof(fresh));
    return err ? bh_cli_fail("secret", "cannot exchange the secret: %s", bh_err_text(err)) : write_secrets(file);
}

/* keyd gets the file as it is now. */
static int hand_over(const struct bh_cli *cli)
{
    int status;

    json_decref(bh_control_ask(cli, "secret", "again", NULL, -1, &status));
    return status;
}

/* True when everything is sealed by the secret `id`. */
static bool is_complete(const json_t *daemon, const char *id)
{
    return strcmp(bh_json_text(daemon, "secret"), id) == 0 && json_is_true(json_object_get(daemon, "complete"));
}

static int wait_until_sealed(const struct bh_cli *cli, const char *id, json_int_t *ret_count)
{
    int status = BH_EXIT_OK;

    for (;;) {
        json_t *daemon = bh_control_ask(cli, "secret", "status", NULL, -1, &status);
        bool complete = daemon && is_complete(daemon, id);
        json_int_t failed = json_integer_value(json_object_get(daemon, "failed"));

        *ret_count = json_integer_value(json_object_get(daemon, "sealed_again"));
        json_decref(daemon);
        if (complete)
            return BH_EXIT_OK;
        if (failed)
            return bh_cli_fail("secret",
                               "%lld objects cannot be sealed again, so the old secret stays; the log of controld "
                               "says which they are",
                               (long long)failed);
        if (!daemon && status != BH_EXIT_TEMPFAIL && status != BH_EXIT_UNAVAILABLE)
            return status;
        (void)usleep(POLL_MS * 1000);
    }
}

static int rotate(const struct bh_cli *cli, struct secret_file *file)
{
    struct bh_buf id = bh_buf_make(64);
    json_int_t count = 0;
    int status;
    json_t *daemon = bh_control_ask(cli, "secret", "status", NULL, -1, &status);

    if (!daemon)
        return status;
    json_decref(daemon);
    if (!file->secrets.has_old)
        status = make_new(file);
    id_text(file->secrets.current, &id);
    if (!status && !cli->json)
        (void)printf("new master secret %s; put a copy of keys/master.secret in a safe place\n", id.p);
    (void)fflush(stdout);
    if (!status)
        status = hand_over(cli);
    if (!status)
        status = wait_until_sealed(cli, id.p, &count);
    bh_wipe(file->secrets.old, sizeof(file->secrets.old));
    file->secrets.has_old = false;
    if (!status)
        status = write_secrets(file);
    if (!status)
        status = hand_over(cli);
    if (!status && cli->json)
        bh_cli_print_json(json_pack("{s:s, s:I}", "secret", id.p, "sealed_again", count));
    else if (!status)
        (void)printf("%lld objects are sealed again; the old secret is dropped\n", (long long)count);
    bh_buf_free(&id);
    return status;
}

int bh_cli_secret(struct bh_cli *cli, int argc, char **argv)
{
    struct secret_file file = {.folder = -1};
    const char *verb;
    int status;

    if (!bh_cli_options(cli, &argc, argv, NULL, help, &status))
        return status;
    verb = argc == 2 ? argv[1] : "";
    if (strcmp(verb, "status") != 0 && strcmp(verb, "rotate") != 0)
        return bh_cli_fail("secret", "say status or rotate; see behalf secret --help");
    status = open_folder(cli, &file);
    if (!status)
        status = read_secrets(&file);
    if (!status)
        status = *verb == 's' ? print_status(cli, &file) : rotate(cli, &file);
    bh_wipe(&file.secrets, sizeof(file.secrets));
    if (file.folder >= 0)
        (void)close(file.folder);
    return status;
}
