/*
 * Two hash tables of its own and a pthread mutex: what `--probe` is for. Counts
 * its operations per key and times its own waits, and prints both as JSON.
 *
 * hash [--wait]   with --wait: says ready and waits for a line on stdin before
 *                 it begins, and for another before it exits; without the
 *                 first, it exits at once.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define EXPORT __attribute__((noinline, noclone, used, externally_visible))

enum { KEYS = 40, BUCKETS = 64, WORKERS = 4, ROUNDS = 4000, LOCKS = 100 };
enum { LOOKUP, INSERT, DELETE, OPS };

/* Whoever holds the lock does so for this long, ns. */
static const long HOLD = 3 * 1000 * 1000;

struct entry {
	struct entry *next;
	char *name;
	long number;
	long value;
};

struct table {
	long unused; /* so that a field's address is not the table's */
	pthread_mutex_t guard;
	struct entry *buckets[BUCKETS];
	uint64_t counts[KEYS][OPS];
};

/* Tables by string. */

static unsigned bucket_of(const char *key)
{
	unsigned hash = 5381;
	while (*key)
		hash = hash * 33 + (unsigned char)*key++;
	return hash % BUCKETS;
}

static struct entry **find_name(struct table *t, const char *key)
{
	struct entry **at = &t->buckets[bucket_of(key)];
	while (*at && strcmp((*at)->name, key))
		at = &(*at)->next;
	return at;
}

EXPORT long ht_get(struct table *t, const char *key)
{
	struct entry *e = *find_name(t, key);
	return e ? e->value : -1;
}

EXPORT void ht_put(struct table *t, const char *key, long value)
{
	struct entry **at = find_name(t, key);
	if (!*at) {
		*at = calloc(1, sizeof **at);
		(*at)->name = strdup(key);
	}
	(*at)->value = value;
}

EXPORT int ht_del(struct table *t, const char *key)
{
	struct entry **at = find_name(t, key), *gone = *at;
	if (!gone)
		return 0;
	*at = gone->next;
	free(gone->name);
	free(gone);
	return 1;
}

/* Tables by number. */

static struct entry **find_number(struct table *t, long key)
{
	struct entry **at = &t->buckets[(unsigned long)key % BUCKETS];
	while (*at && (*at)->number != key)
		at = &(*at)->next;
	return at;
}

EXPORT long it_get(struct table *t, long key)
{
	struct entry *e = *find_number(t, key);
	return e ? e->value : -1;
}

EXPORT void it_put(struct table *t, long key, long value)
{
	struct entry **at = find_number(t, key);
	if (!*at) {
		*at = calloc(1, sizeof **at);
		(*at)->number = key;
	}
	(*at)->value = value;
}

/* A lookup by pointer and length; the text goes on behind it. */
EXPORT long sl_get(struct table *t, const char *key, size_t len)
{
	char name[32];
	memcpy(name, key, len);
	name[len] = 0;
	struct entry *e = *find_name(t, name);
	return e ? e->value : -1;
}

/* The contended lock. */

static pthread_mutex_t contended = PTHREAD_MUTEX_INITIALIZER;

EXPORT void take(pthread_mutex_t *lock)
{
	pthread_mutex_lock(lock);
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* How often this thread has gone to sleep. */
static long sleeps(void)
{
	struct rusage usage;
	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

/* The program. */

static struct table by_name = { .guard = PTHREAD_MUTEX_INITIALIZER };
static struct table by_number = { .guard = PTHREAD_MUTEX_INITIALIZER };
static struct table by_slice = { .guard = PTHREAD_MUTEX_INITIALIZER };

static char names[KEYS][32];

static long number(int key)
{
	return ((long)key - 7) * 1000003;
}

struct worker {
	pthread_t thread;
	uint64_t random;
	uint64_t waits, wait_ns;
	long wrong;
};

static unsigned next(struct worker *w, unsigned n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (unsigned)(w->random >> 33) % n;
}

/*
 * Values are always twice the key's index, so that every read can be checked
 * without knowing who wrote last. These locks are taken with trylock: only the
 * one contended lock is to be seen waited for.
 */
static void operate(struct worker *w, struct table *t)
{
	unsigned key = next(w, 1 + next(w, KEYS)), op = next(w, 10);
	long value = 2 * (long)key, read = value;

	while (pthread_mutex_trylock(&t->guard))
		sched_yield();
	if (t == &by_slice) {
		t->counts[key][LOOKUP]++;
		read = sl_get(t, names[key], strlen(names[key]) - 1);
	} else if (op < 6) {
		t->counts[key][LOOKUP]++;
		read = t == &by_name ? ht_get(t, names[key]) : it_get(t, number(key));
	} else if (op < 9 || t == &by_number) {
		t->counts[key][INSERT]++;
		if (t == &by_name)
			ht_put(t, names[key], value);
		else
			it_put(t, number(key), value);
	} else {
		t->counts[key][DELETE]++;
		ht_del(t, names[key]);
	}
	pthread_mutex_unlock(&t->guard);
	if (read != value && read != -1)
		w->wrong++;
}

static void *work(void *argument)
{
	struct worker *w = argument;
	const struct timespec hold = { 0, HOLD }, pause = { 0, HOLD / 2 }, breath = { 0, 1000 * 1000 };

	for (int round = 0; round < ROUNDS; round++) {
		operate(w, &by_name);
		operate(w, &by_number);
		operate(w, &by_slice);
		if (round % 32 == 0)
			nanosleep(&breath, NULL);
	}
	for (int round = 0; round < LOCKS; round++) {
		long slept = sleeps();
		uint64_t begin = now();
		take(&contended);
		uint64_t end = now();
		/* A lock that is free is no wait. */
		if (sleeps() != slept) {
			w->wait_ns += end - begin;
			w->waits++;
		}
		nanosleep(&hold, NULL);
		pthread_mutex_unlock(&contended);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void print_table(const char *name, struct table *t, int cut)
{
	printf("{\"name\":\"%s\",\"address\":\"%p\",\"keys\":[", name, (void *)t);
	for (int key = 0; key < KEYS; key++) {
		printf("%s{\"key\":", key ? "," : "");
		if (t == &by_number)
			printf("\"%ld\"", number(key));
		else
			printf("\"\\\"%.*s\\\"\"", (int)strlen(names[key]) - cut, names[key]);
		printf(",\"lookup\":%lu,\"insert\":%lu,\"delete\":%lu}", (unsigned long)t->counts[key][LOOKUP],
		       (unsigned long)t->counts[key][INSERT], (unsigned long)t->counts[key][DELETE]);
	}
	printf("]}");
}

int main(int argc, char **argv)
{
	struct worker workers[WORKERS] = { 0 };
	int wait = argc > 1 && !strcmp(argv[1], "--wait");
	uint64_t waits = 0, wait_ns = 0;
	long wrong = 0;

	for (int key = 0; key < KEYS; key++)
		snprintf(names[key], sizeof names[key], "item-%d%.*s;", key, key / 2, "abcdefghijklmnopqrst");
	if (wait) {
		printf("ready\n");
		fflush(stdout);
		for (int c; (c = getchar()) != '\n';)
			if (c == EOF)
				return 0; /* never to begin */
	}
	for (int i = 0; i < WORKERS; i++) {
		workers[i].random = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u;
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		waits += workers[i].waits;
		wait_ns += workers[i].wait_ns;
		wrong += workers[i].wrong;
	}
	printf("{\"maps\":[");
	print_table("by_name", &by_name, 0);
	printf(",");
	print_table("by_number", &by_number, 0);
	printf(",");
	print_table("by_slice", &by_slice, 1);
	printf("],\"lock\":{\"address\":\"%p\",\"waits\":%lu,\"wait_ns\":%lu},\"mismatches\":%ld}\n", (void *)&contended,
	       (unsigned long)waits, (unsigned long)wait_ns, wrong);
	fflush(stdout);
	if (wait)
		getchar();
	return 0;
}
