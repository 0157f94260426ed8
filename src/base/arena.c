/* arena.c: a list of blocks, the newest first; allocation bumps a pointer. Blocks double up to 64 KiB; a larger
 * request gets a block of its own behind the current one, so that the rest of the current block stays usable. */
#include <behalf/arena.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 16, FIRST_BLOCK = 1024, LARGEST_BLOCK = 64 * 1024 };

struct block {
    struct block *next;
    size_t size; /* of data */
    size_t used;
    size_t pad; /* keeps data aligned */
    char data[];
};

struct bh_arena {
    struct block *blocks;
    struct block *first;
    size_t max_bytes;
    size_t taken; /* bytes of all blocks, headers included */
    size_t next_size;
};

_Static_assert(sizeof(struct block) % ALIGNMENT == 0, "data must start aligned");

struct bh_arena *bh_arena_new(size_t max_bytes)
{
    struct bh_arena *arena = calloc(1, sizeof(*arena));

    if (arena) {
        arena->max_bytes = max_bytes;
        arena->next_size = FIRST_BLOCK;
    }
    return arena;
}

static void free_blocks(struct bh_arena *arena, const struct block *keep)
{
    struct block *block = arena->blocks;

    while (block) {
        struct block *next = block->next;

        if (block != keep)
            free(block);
        block = next;
    }
}

void bh_arena_free(struct bh_arena *arena)
{
    if (!arena)
        return;
    free_blocks(arena, NULL);
    free(arena);
}

void bh_arena_reset(struct bh_arena *arena)
{
    struct block *first = arena->first;

    free_blocks(arena, first);
    arena->blocks = first;
    arena->taken = 0;
    if (first) {
        memset(first->data, 0, first->used);
        first->used = 0;
        first->next = NULL;
        arena->taken = sizeof(*first) + first->size;
    }
}

static struct block *add_block(struct bh_arena *arena, size_t need)
{
    size_t size = need > arena->next_size ? need : arena->next_size;
    struct block *block;

    if (need > arena->max_bytes || arena->taken > arena->max_bytes - need)
        return NULL;
    if (sizeof(*block) + size > arena->max_bytes - arena->taken)
        size = need;
    if (sizeof(*block) + size > arena->max_bytes - arena->taken)
        return NULL;
    block = calloc(1, sizeof(*block) + size);
    if (!block)
        return NULL;
    block->size = size;
    arena->taken += sizeof(*block) + size;
    if (arena->next_size < LARGEST_BLOCK)
        arena->next_size *= 2;
    if (arena->blocks && need > LARGEST_BLOCK) { /* keep bumping in the current one */
        block->next = arena->blocks->next;
        arena->blocks->next = block;
    } else {
        block->next = arena->blocks;
        arena->blocks = block;
    }
    if (!arena->first)
        arena->first = block;
    return block;
}

void *bh_arena_alloc(struct bh_arena *arena, size_t n)
{
    struct block *block = arena->blocks;
    char *p;

    if (n > SIZE_MAX - ALIGNMENT)
        return NULL;
    n = n ? (n + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    if (!block || block->size - block->used < n) {
        block = add_block(arena, n);
        if (!block)
            return NULL;
    }
    p = block->data + block->used;
    block->used += n;
    return p;
}

void *bh_arena_array(struct bh_arena *arena, size_t count, size_t size)
{
    size_t bytes;

    return __builtin_mul_overflow(count, size, &bytes) ? NULL : bh_arena_alloc(arena, bytes);
}

bh_str bh_arena_dup(struct bh_arena *arena, bh_str s)
{
    char *copy = s.n < SIZE_MAX ? bh_arena_alloc(arena, s.n + 1) : NULL;

    if (!copy)
        return (bh_str){NULL, 0};
    if (s.n)
        memcpy(copy, s.p, s.n);
    return (bh_str){copy, s.n};
}

bh_str bh_arena_printf(struct bh_arena *arena, const char *format, ...)
{
    va_list args;
    int n;
    char *text;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    text = n < 0 ? NULL : bh_arena_alloc(arena, (size_t)n + 1);
    if (!text)
        return (bh_str){NULL, 0};
    va_start(args, format);
    (void)vsnprintf(text, (size_t)n + 1, format, args);
    va_end(args);
    return (bh_str){text, (size_t)n};
}

size_t bh_arena_used(const struct bh_arena *arena)
{
    return arena->taken;
}
