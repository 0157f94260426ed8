/* opendkim_verify.c: `opendkim_verify KEYS FILE...` prints "FILE pass|other" for each message, by libopendkim. KEYS has
 * a line "name text" per record. */
#include <opendkim/dkim.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 20 };

static char keys[MAX_FILE];
static char message[MAX_FILE];

static size_t read_file(const char *path, char *text)
{
    FILE *file = fopen(path, "rb");
    size_t n = file ? fread(text, 1, MAX_FILE - 2, file) : 0;

    if (!file) {
        perror(path);
        exit(1);
    }
    (void)fclose(file);
    text[n] = '\0';
    return n;
}

static DKIM_CBSTAT find_key(DKIM *dkim, DKIM_SIGINFO *sig, unsigned char *buf, size_t n)
{
    char name[512];
    const char *line;
    const char *end;

    (void)dkim;
    (void)snprintf(name, sizeof(name), "\n%s._domainkey.%s ", (const char *)dkim_sig_getselector(sig),
                   (const char *)dkim_sig_getdomain(sig));
    line = strstr(keys, name);
    if (!line)
        return DKIM_CBSTAT_NOTFOUND;
    line += strlen(name);
    end = strchr(line, '\n');
    (void)snprintf((char *)buf, n, "%.*s", (int)(end ? end - line : (long)strlen(line)), line);
    return DKIM_CBSTAT_CONTINUE;
}

/* Any signature that passes is enough, as with the other judges. */
static const char *judge(DKIM_LIB *lib, const char *path)
{
    size_t n = read_file(path, message);
    DKIM_SIGINFO **sigs = NULL;
    int count = 0;
    DKIM_STAT status;
    DKIM *dkim = dkim_verify(lib, (const unsigned char *)"x", NULL, &status);
    const char *verdict = "other";

    if (!dkim)
        return verdict;
    if (dkim_chunk(dkim, (unsigned char *)message, n) == DKIM_STAT_OK && dkim_chunk(dkim, NULL, 0) == DKIM_STAT_OK &&
        dkim_eom(dkim, NULL) == DKIM_STAT_OK && dkim_getsiglist(dkim, &sigs, &count) == DKIM_STAT_OK)
        for (int i = 0; i < count; i++)
            if (dkim_sig_process(dkim, sigs[i]) == DKIM_STAT_OK &&
                (dkim_sig_getflags(sigs[i]) & DKIM_SIGFLAG_PASSED) != 0 && dkim_sig_getbh(sigs[i]) == DKIM_SIGBH_MATCH)
                verdict = "pass";
    (void)dkim_free(dkim);
    return verdict;
}

int main(int argc, char **argv)
{
    DKIM_LIB *lib = dkim_init(NULL, NULL);

    if (!lib || argc < 2)
        return 1;
    keys[0] = '\n'; /* so that every name begins a line */
    (void)read_file(argv[1], keys + 1);
    (void)dkim_set_key_lookup(lib, find_key);
    for (int i = 2; i < argc; i++)
        (void)printf("%s %s\n", argv[i], judge(lib, argv[i]));
    dkim_close(lib);
    return 0;
}
