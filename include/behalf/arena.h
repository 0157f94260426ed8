/* behalf/arena.h: memory for one unit of work (message, transaction, query, request).
 *
 * Everything allocated is freed at once by reset or free, so no error path has anything to free. The cap is
 * hard: an allocation past it returns NULL, and the caller turns that into BH_E_NOMEM. */
#ifndef BEHALF_ARENA_H
#define BEHALF_ARENA_H

#include <behalf/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bh_arena;

/* An arena that will never hold more than `max_bytes` (payload and its own blocks). NULL when out of memory.
 * Owner: the caller, who ends it with bh_arena_free. */
BH_API struct bh_arena *bh_arena_new(size_t max_bytes);

/* Frees the arena and all that came from it. NULL is fine. */
BH_API void bh_arena_free(struct bh_arena *arena);

/* Forgets all that came from it and keeps the first block, so a loop allocates nothing. */
BH_API void bh_arena_reset(struct bh_arena *arena);

/* `n` zeroed bytes aligned to 16, or NULL past the cap. n = 0 gives a valid pointer. */
BH_API void *bh_arena_alloc(struct bh_arena *arena, size_t n);

/* Like bh_arena_alloc for an array; NULL also when count * size overflows. */
BH_API void *bh_arena_array(struct bh_arena *arena, size_t count, size_t size);

/* A copy of `s` with a NUL behind it. On failure the result is {NULL, 0}; a successful copy has p != NULL. */
BH_API bh_str bh_arena_dup(struct bh_arena *arena, bh_str s);

/* printf into the arena; the view excludes the trailing NUL. {NULL, 0} past the cap. */
BH_API bh_str bh_arena_printf(struct bh_arena *arena, const char *format, ...) BH_PRINTF(2, 3);

/* Bytes taken so far, blocks included. */
BH_API size_t bh_arena_used(const struct bh_arena *arena);

#ifdef __cplusplus
}
#endif
#endif
