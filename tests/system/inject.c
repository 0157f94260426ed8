/* inject.c PID: makes a running process (or one thread) do system calls, so that a test sees from the inside what it
 * may do: the program under test is the one that is shipped, its filter and its landlock domain are those it installed.
 *
 * Root attaches with ptrace, keeps the registers, and for each line on standard input
 *     NUMBER ARGUMENT…        up to six: a decimal number, "=text" (the address of that text), "@N" (the address of N
 * zero bytes), "<hex>" (the address of these bytes) steps once over a `syscall` instruction of the process's own code.
 * It answers with the result in decimal; then the next line. "peek @" instead of a number prints the first 64 bytes of
 * the last buffer in hex. At the end of input, or when this program ends, registers and memory are as before and the
 * process goes on where it was: a call that it was sleeping in is restarted by the kernel. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* Well below the stack pointer: beyond the red zone and all that a signal frame may need. */
enum { SCRATCH_BELOW = 64 * 1024, SCRATCH = 16 * 1024, ARGUMENTS = 6 };

struct target {
    pid_t pid;
    int memory;
    unsigned long long gate; /* address of a `syscall` instruction */
    unsigned long long scratch;
    struct user_regs_struct saved;
    char kept[SCRATCH];
    size_t used; /* of the scratch room, by this line's arguments */
    unsigned long long last;
};

static void fail(const char *what)
{
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void wait_stopped(pid_t pid)
{
    int status;

    if (waitpid(pid, &status, __WALL) != pid)
        fail("waitpid");
    if (!WIFSTOPPED(status)) {
        fprintf(stderr, "inject: the process ended (status %#x)\n", (unsigned)status);
        exit(3);
    }
}

/* The first `syscall` (0f 05) in code that the process has mapped. */
static unsigned long long find_gate(const struct target *target)
{
    char path[64], line[512];
    unsigned char bytes[4096];
    FILE *maps;

    (void)snprintf(path, sizeof(path), "/proc/%d/maps", target->pid);
    maps = fopen(path, "re");
    while (maps && fgets(line, sizeof(line), maps)) {
        char *end, *rights;
        unsigned long long from = strtoull(line, &end, 16), to = strtoull(end + 1, &rights, 16);

        if (strncmp(rights, " r-xp", 5) != 0)
            continue;
        for (; from < to; from += sizeof(bytes)) {
            ssize_t n = pread(target->memory, bytes, sizeof(bytes), (off_t)from);

            for (ssize_t i = 0; i + 1 < n; i++)
                if (bytes[i] == 0x0f && bytes[i + 1] == 0x05) {
                    (void)fclose(maps);
                    return from + (unsigned long long)i;
                }
        }
    }
    fprintf(stderr, "inject: no system call instruction found\n");
    exit(2);
}

static void attach(struct target *target, pid_t pid)
{
    char path[64];

    target->pid = pid;
    if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0)
        fail("attach");
    wait_stopped(pid);
    if (ptrace(PTRACE_GETREGS, pid, NULL, &target->saved) != 0)
        fail("registers");
    (void)snprintf(path, sizeof(path), "/proc/%d/mem", pid);
    target->memory = open(path, O_RDWR | O_CLOEXEC);
    if (target->memory < 0)
        fail(path);
    target->gate = find_gate(target);
    target->scratch = (target->saved.rsp - SCRATCH_BELOW) & ~15ULL;
    if (pread(target->memory, target->kept, SCRATCH, (off_t)target->scratch) != SCRATCH)
        fail("scratch room on the stack");
}

static void release(const struct target *target)
{
    if (pwrite(target->memory, target->kept, SCRATCH, (off_t)target->scratch) != SCRATCH)
        fail("putting memory back");
    if (ptrace(PTRACE_SETREGS, target->pid, NULL, &target->saved) != 0)
        fail("putting registers back");
    if (ptrace(PTRACE_DETACH, target->pid, NULL, NULL) != 0)
        fail("detach");
}

static unsigned long long place(struct target *target, const char *bytes, size_t n)
{
    unsigned long long at = target->scratch + target->used;

    if (n > SCRATCH - target->used) {
        fprintf(stderr, "inject: arguments too long\n");
        exit(2);
    }
    if (pwrite(target->memory, bytes, n, (off_t)at) != (ssize_t)n)
        fail("writing arguments");
    target->used += (n + 15) & ~(size_t)15;
    target->last = at;
    return at;
}

static unsigned long long argument(struct target *target, const char *text)
{
    char bytes[SCRATCH] = {0};
    size_t n = 0;

    if (text[0] == '=')
        return place(target, text + 1, strlen(text + 1) + 1);
    if (text[0] == '@') {
        n = strtoul(text + 1, NULL, 10);
        return place(target, bytes, n < sizeof(bytes) ? n : sizeof(bytes));
    }
    if (text[0] == '<') {
        for (; n < sizeof(bytes) && text[1 + 2 * n] && text[2 + 2 * n] && text[1 + 2 * n] != '>'; n++)
            bytes[n] = (char)strtoul((char[]){text[1 + 2 * n], text[2 + 2 * n], 0}, NULL, 16);
        return place(target, bytes, n);
    }
    return (unsigned long long)strtoll(text, NULL, 0);
}

static long long step(const struct target *target, struct user_regs_struct regs)
{
    int status;

    regs.rip = target->gate;
    regs.orig_rax = ~0ULL; /* we are in no call now: nothing to restart */
    if (ptrace(PTRACE_SETREGS, target->pid, NULL, &regs) != 0)
        fail("setting registers");
    do { /* an event stop on the way is not the end of the step */
        if (ptrace(PTRACE_SINGLESTEP, target->pid, NULL, NULL) != 0)
            fail("stepping");
        if (waitpid(target->pid, &status, __WALL) != target->pid)
            fail("waitpid");
        if (!WIFSTOPPED(status)) {
            printf("ended %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
            exit(3);
        }
        if (ptrace(PTRACE_GETREGS, target->pid, NULL, &regs) != 0)
            fail("registers");
    } while (regs.rip == target->gate);
    return (long long)regs.rax;
}

static long long call(struct target *target, char *line)
{
    struct user_regs_struct regs = target->saved;
    unsigned long long values[ARGUMENTS + 1] = {0};
    char *rest = line;

    target->used = 0;
    for (size_t i = 0; i <= ARGUMENTS; i++) {
        char *word = strsep(&rest, " \n");

        if (!word || !*word)
            break;
        values[i] = argument(target, word);
    }
    regs.rax = values[0];
    regs.rdi = values[1];
    regs.rsi = values[2];
    regs.rdx = values[3];
    regs.r10 = values[4];
    regs.r8 = values[5];
    regs.r9 = values[6];
    return step(target, regs);
}

static void peek(const struct target *target)
{
    unsigned char bytes[64];

    if (pread(target->memory, bytes, sizeof(bytes), (off_t)target->last) != (ssize_t)sizeof(bytes))
        fail("reading back");
    for (size_t i = 0; i < sizeof(bytes); i++)
        printf("%02x", bytes[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    static struct target target;
    char line[2 * SCRATCH];

    if (argc != 2) {
        fprintf(stderr, "inject PID: system calls for it on standard input\n");
        return 2;
    }
    attach(&target, (pid_t)strtol(argv[1], NULL, 10));
    printf("attached\n");
    (void)fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        if (strncmp(line, "peek", 4) == 0)
            peek(&target);
        else
            printf("%lld\n", call(&target, line));
        (void)fflush(stdout);
    }
    release(&target);
    return 0;
}
