/*
 * Leaf functions of one instruction each, which use what a leaf may: all registers, the flags, and the 128 bytes
 * below the stack pointer that belong to it (the "red zone" of the x86-64 ABI). Each is called with several states
 * before anything is probed and again when told to go on, and what it leaves is compared. One line of JSON says how
 * often each was called then, by its number, which is its first argument, and how often it left something else.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RED = 20, SCRATCH = 64, STATES = 8, TURNS = 3 };
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, REGISTERS = 16 };

/* What a function finds or leaves. The assembly below knows the offsets. */
struct state {
	uint64_t registers[REGISTERS]; /* 0 */
	uint64_t flags;                /* 128 */
	uint64_t vectors[8];           /* 136: xmm0 to xmm3 */
	uint64_t red[RED];             /* 200: from the word above the return address down */
};

struct state given, found;
uint64_t scratch[SCRATCH];
void *target, *stack, *words[2];

void enter(void);
void snapshot(void);
void *const snapshot_at = snapshot;

__asm__(".text\n.type enter,@function\nenter:\n"
	"	push %rbx\n	push %rbp\n	push %r12\n	push %r13\n	push %r14\n	push %r15\n"
	"	mov %rsp, stack(%rip)\n"
	"	lea -512(%rsp), %rsp\n"
	"	lea given(%rip), %rax\n"
	"	.irp n, 0,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19\n"
	"	mov 200+8*\\n(%rax), %rcx\n	mov %rcx, -8*\\n(%rsp)\n"
	"	.endr\n"
	"	.irp n, 0,1,2,3\n	movups 136+16*\\n(%rax), %xmm\\n\n	.endr\n"
	"	pushq 128(%rax)\n	popfq\n"
	"	mov given+8(%rip), %rcx\n	mov given+16(%rip), %rdx\n	mov given+24(%rip), %rbx\n"
	"	mov given+40(%rip), %rbp\n	mov given+48(%rip), %rsi\n	mov given+56(%rip), %rdi\n"
	"	mov given+64(%rip), %r8\n	mov given+72(%rip), %r9\n	mov given+80(%rip), %r10\n"
	"	mov given+88(%rip), %r11\n	mov given+96(%rip), %r12\n	mov given+104(%rip), %r13\n"
	"	mov given+112(%rip), %r14\n	mov given+120(%rip), %r15\n	mov given(%rip), %rax\n"
	"	.p2align 9\n	call *target(%rip)\n" /* so that the return address, taken for flags, does not trap */
	".globl snapshot\n.type snapshot,@function\nsnapshot:\n" /* no instruction changes a flag until they are stored */
	"	mov %rax, found(%rip)\n	mov %rcx, found+8(%rip)\n	mov %rdx, found+16(%rip)\n"
	"	mov %rbx, found+24(%rip)\n	mov %rsp, found+32(%rip)\n	mov %rbp, found+40(%rip)\n"
	"	mov %rsi, found+48(%rip)\n	mov %rdi, found+56(%rip)\n	mov %r8, found+64(%rip)\n"
	"	mov %r9, found+72(%rip)\n	mov %r10, found+80(%rip)\n	mov %r11, found+88(%rip)\n"
	"	mov %r12, found+96(%rip)\n	mov %r13, found+104(%rip)\n	mov %r14, found+112(%rip)\n"
	"	mov %r15, found+120(%rip)\n"
	"	mov stack(%rip), %rcx\n	lea -512(%rcx), %rcx\n	lea found(%rip), %rax\n"
	"	.irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19\n"
	"	mov -8*\\n(%rcx), %rdx\n	mov %rdx, 200+8*\\n(%rax)\n"
	"	.endr\n"
	"	.irp n, 0,1,2,3\n	movups %xmm\\n, 136+16*\\n(%rax)\n	.endr\n"
	"	mov stack(%rip), %rsp\n	lea -1024(%rsp), %rsp\n	pushfq\n	popq 128(%rax)\n	cld\n"
	"	mov stack(%rip), %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbp\n	pop %rbx\n	ret\n"
	".globl back\n.type back,@function\nback:\n	ret\n");

/* What every function may find: its number in RDI, small in RCX, the scratch's middle in RSI and RBX, `snapshot` in R8. */
#define EACH(X)                                                                                                \
	/* emulated: what stands where, in the red zone and in the flags, must not matter */                      \
	X(nop, ".byte 0x90", 0)                                                                               \
	X(nop2, ".byte 0x66,0x90", 0)                                                                         \
	X(nop4, ".byte 0x0f,0x1f,0x40,0x00", 0)                                                               \
	X(push_rax, "push %rax", 0) X(push_rcx, "push %rcx", 0) X(push_rdx, "push %rdx", 0)                    \
	X(push_rbx, "push %rbx", 0) X(push_rsp, "push %rsp", 0) X(push_rbp, "push %rbp", 0)                    \
	X(push_rsi, "push %rsi", 0) X(push_rdi, "push %rdi", 0) X(push_r8, "push %r8", 0)                      \
	X(push_r12, "push %r12", 0) X(push_r15, "push %r15", 0)                                                \
	X(jmp, ".byte 0xeb,0x08,0x48,0x8d,0x92,1,0,0,0,0x90", 0)                                              \
	X(jmp_near, ".byte 0xe9,0x07,0,0,0,0x48,0x8d,0x92,1,0,0,0", 0)                                        \
	X(jmp_next, ".byte 0xeb,0", 0)                                                                        \
	X(call, ".byte 0xe8,0,0,0,0", 0)                                                                      \
	X(call_back, "call back", 0)                                                                          \
	JCC(X, o, 0) JCC(X, no, 1) JCC(X, b, 2) JCC(X, ae, 3) JCC(X, e, 4) JCC(X, ne, 5) JCC(X, be, 6)         \
	JCC(X, a, 7) JCC(X, s, 8) JCC(X, ns, 9) JCC(X, p, a) JCC(X, np, b) JCC(X, l, c) JCC(X, ge, d)          \
	JCC(X, le, e) JCC(X, g, f)                                                                            \
	/* nops of 5 bytes: the kernel may make a call of them; at an entry nothing lives below the stack */     \
	X(nop5, ".byte 0x0f,0x1f,0x44,0,0", 1)                                                                \
	X(nop5_endbr, ".byte 0xf3,0x0f,0x1e,0xfa; .byte 0x0f,0x1f,0x44,0,0", 1)                               \
	INSIDE(X, nop5, "0x0f,0x1f,0x44,0,0") INSIDE(X, nop5_disp, "0x0f,0x1f,0x44,0x24,0x18")                 \
	INSIDE(X, nop5_66, "0x66,0x0f,0x1f,0x40,0") INSIDE(X, nop5_67, "0x67,0x0f,0x1f,0x40,0")                \
	INSIDE(X, nop5_rex, "0x48,0x0f,0x1f,0x40,0") INSIDE(X, nop5_90, "0x66,0x66,0x66,0x66,0x90")            \
	INSIDE(X, lea_rsp, "0x48,0x8d,0x64,0x24,0") INSIDE(X, lea_r12, "0x4d,0x8d,0x64,0x24,0")                \
	INSIDE(X, lea_sib, "0x48,0x8d,0x74,0x26,0") INSIDE(X, jmp_next5, "0xe9,0,0,0,0")                       \
	X(lea_rsp5, ".byte 0x48,0x8d,0x64,0x24,0", 1) X(lea_r12_5, ".byte 0x4d,0x8d,0x64,0x24,0", 1)           \
	X(nop5_prefix, ".byte 0x66,0x0f,0x1f,0x40,0", 1)                 \
	/* single-stepped elsewhere */                                                                         \
	X(nop3, ".byte 0x0f,0x1f,0x00", 0)                                                                    \
	X(nop6, ".byte 0x66,0x0f,0x1f,0x44,0,0", 0)                                                           \
	X(nop7, ".byte 0x0f,0x1f,0x80,0,0,0,0", 0)                                                            \
	X(nop8, ".byte 0x0f,0x1f,0x84,0,0,0,0,0", 0)                                                          \
	X(nop9, ".byte 0x66,0x0f,0x1f,0x84,0,0,0,0,0", 0)                                                     \
	X(endbr64, "endbr64", 0) X(pause, "pause", 0)                                                         \
	X(mov, "mov %rdi, %rax", 0) X(mov_same, "mov %rax, %rax", 0) X(mov_zero, "mov %eax, %eax", 0)          \
	X(mov_imm, "mov $1, %eax", 0) X(mov_red, "mov -8(%rsp), %rax", 0) X(mov_far, "mov -128(%rsp), %rax", 0) \
	X(store_red, "mov %rax, -8(%rsp)", 0) X(store_arg, "mov %rax, 8(%rsp)", 0)                             \
	X(lea, "lea 8(%rsi,%rcx,4), %rax", 0) X(lea_low, "lea -0x30(%rsp), %r12", 0)                           \
	X(sub, "sub $0x18, %rsp", 0) X(add, "add $0x18, %rsp", 0) X(sub_large, "sub $0x118, %rsp", 0)          \
	X(cmp, "cmp 0x10(%rsi), %rsp", 0) X(test, "test %rdi, %rdi", 0) X(xor, "xor %eax, %eax", 0)            \
	X(adc, "adc %rdx, %rax", 0) X(sbb, "sbb %rax, %rax", 0) X(neg, "neg %rax", 0) X(inc, "inc %rax", 0)     \
	X(shl, "shl $3, %rax", 0) X(ror, "ror %cl, %rax", 0) X(bt, "bt %rcx, %rax", 0) X(bswap, "bswap %rax", 0) \
	X(imul, "imul %rdx, %rax", 0) X(mul, "mul %rdx", 0) X(popcnt, "popcnt %rdx, %rax", 0)                  \
	X(cmove, "cmove %rdx, %rax", 0) X(setb, "setb %al", 0) X(movzx, "movzbl %dl, %eax", 0)                 \
	X(movsx, "movslq %edx, %rax", 0) X(cqo, "cqo", 0) X(xchg, "xchg %rax, %rdx", 0)                        \
	X(xadd, "xadd %rax, (%rsi)", 0) X(cmpxchg, "cmpxchg %rdx, (%rsi)", 0) X(lahf, "lahf", 0) X(sahf, "sahf", 0) \
	X(stc, "stc", 0) X(cld, "cld", 0) X(std, "std", 0) X(xlat, "xlat", 0)                                   \
	X(pop, "pop %rax", 0) X(pop_mem, "popq (%rsi)", 0) X(push_imm, "push $1", 0) X(push_mem, "pushq (%rsi)", 0) \
	X(push_16, "push %ax", 0) X(push_rex, ".byte 0x48,0x50", 0)                                             \
	X(enter, "enter $16, $0", 0) X(popf, "popfq", 0)                                                       \
	X(ret, "ret", 0) X(ret_8, "ret $8", 0)                                                                 \
	X(jmp_reg, "jmp *%r8", 0) X(call_reg, "call *%r8", 0)                                                  \
	X(jmp_mem, "jmp *snapshot_at(%rip)", 0) X(call_mem, "call *snapshot_at(%rip)", 0)                      \
	X(call_stack, "call *24(%rsi)", 0)                                                                    \
	X(jrcxz, "jrcxz 1f; lea 1(%rdx), %rdx; 1:", 0) X(loop, "loop 1f; lea 1(%rdx), %rdx; 1:", 0)             \
	X(lods, "lodsq", 0)                                                \
	X(rip_load, "mov scratch+256(%rip), %rax", 0) X(rip_store, "mov %rax, scratch+256(%rip)", 0)            \
	X(rip_imm, "movl $7, scratch+256(%rip)", 0) X(rip_cmp, "cmpb $7, scratch+256(%rip)", 0)                 \
	X(rip_add, "add %rdx, scratch+256(%rip)", 0) X(rip_lea, "lea scratch(%rip), %rax", 0)                   \
	X(rip_lea_rcx, "lea scratch(%rip), %rcx", 0) X(rip_rsi, "add scratch+256(%rip), %rsi", 0)               \
	X(rip_push, "pushq scratch+256(%rip)", 0) X(rip_pop, "popq scratch+256(%rip)", 0)                       \
	X(rip_xchg, "xchg %rdi, scratch+256(%rip)", 0) X(rip_sse, "movups scratch+256(%rip), %xmm1", 0)         \
	X(rip_cmpxchg16b, "cmpxchg16b scratch+256(%rip)", 0) X(rip_mul, "mulq scratch+256(%rip)", 0)            \
	X(rip_inc, "incq scratch+256(%rip)", 0) X(rip_set, "setb scratch+256(%rip)", 0)                         \
	X(sse, "addps %xmm1, %xmm0", 0) X(movq, "movq %rax, %xmm2", 0)

/* What a probe would change, crash or count more than once: these are there to be refused, and never called. */
#define EACH_REFUSED(X)                                                                                        \
	X(pushf, "pushfq") X(syscall, "syscall") X(rep_movs, "rep movsb") X(rep_stos, "rep stosq")             \
	X(rep_lods, "rep lodsb") X(repne_scas, "repne scasb") X(repe_cmps, "repe cmpsb")                       \
	X(xchg_r8, ".byte 0x49,0x90") X(xchg_r8d, ".byte 0x41,0x90") X(jmp_66, ".byte 0x66,0xeb,0")            \
	X(lock, "lock incq (%rsi)") X(jmp_next5, ".byte 0xe9,0,0,0,0")

/* Taken and not taken, short and near. */
#define JCC(X, name, digit)                                                                                    \
	X(j##name, ".byte 0x7" #digit ",0x07,0x48,0x8d,0x92,1,0,0,0", 0)                                      \
	X(j##name##_near, ".byte 0x0f,0x8" #digit ",0x07,0,0,0,0x48,0x8d,0x92,1,0,0,0", 0)
/* A local is kept below the stack pointer, and read behind these bytes. */
#define INSIDE(X, name, bytes)                                                                                 \
	X(inside_##name, "mov %rax, -8(%rsp); mov %rdx, -16(%rsp); .byte " bytes                              \
		"; mov -8(%rsp), %rdx; mov -16(%rsp), %rax", 0)

#define FUNCTION(name, code)                                                                                   \
	__asm__(".text\n.p2align 6\n.globl " name "\n.type " name ",@function\n" name ":\n\t" code             \
		"\n\tjmp *snapshot_at(%rip)\n.size " name ", .-" name "\n");
#define DEFINE(name, code, kind) FUNCTION("leaf_" #name, code) void leaf_##name(void);
#define DEFINE_REFUSED(name, code) FUNCTION("refused_" #name, code)
EACH(DEFINE)
EACH_REFUSED(DEFINE_REFUSED)

/* At an entry what lies below the stack pointer is nobody's: it may change. */
enum { AT_ENTRY = 1 };

static struct leaf {
	const char *name;
	void (*code)(void);
	int kind;
	long calls, changed;
	struct state left[STATES];
	uint64_t scratch[STATES][SCRATCH];
} leaves[] = {
#define LIST(name, code, kind) { #name, leaf_##name, kind, 0, 0, { { { 0 }, 0, { 0 }, { 0 } } }, { { 0 } } },
	EACH(LIST)
};
enum { LEAVES = sizeof leaves / sizeof *leaves };

static uint64_t mix(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	return *seed ^= *seed << 17;
}

/* Calls a function with one of the states. */
static void call(int leaf, int state)
{
	/* none; carry; zero and parity; sign; overflow; direction; all; sign and overflow */
	static const uint64_t flags[STATES] = { 0x2, 0x3, 0x46, 0x82, 0x802, 0x402, 0xcd7, 0x882 };
	uint64_t seed = 0x9e3779b97f4a7c15u * (uint64_t)(state + 1);

	for (int i = 0; i < SCRATCH; i++)
		scratch[i] = mix(&seed);
	for (uint64_t *word = (uint64_t *)&given; word < (uint64_t *)(&given + 1); word++)
		*word = mix(&seed);
	given.flags = flags[state];
	given.registers[RCX] = (uint64_t)(state % 4);
	given.registers[RSI] = given.registers[RBX] = (uint64_t)&scratch[SCRATCH / 2];
	given.registers[R8] = (uint64_t)snapshot;
	given.registers[RDI] = (uint64_t)leaf;
	scratch[SCRATCH / 2 + 3] = (uint64_t)snapshot;
	target = leaves[leaf].code;
	enter();
	if (leaves[leaf].kind & AT_ENTRY)
		memset(&found.red[2], 0, sizeof found.red - 2 * sizeof *found.red);
}

int main(int argc, char **argv)
{
	int wait = argc > 1 && !strcmp(argv[1], "--wait");

	for (int leaf = 0; leaf < LEAVES; leaf++)
		for (int state = 0; state < STATES; state++) {
			call(leaf, state);
			leaves[leaf].left[state] = found;
			memcpy(leaves[leaf].scratch[state], scratch, sizeof scratch);
		}
	if (wait) {
		printf("ready\n");
		fflush(stdout);
		for (int c; (c = getchar()) != '\n';)
			if (c == EOF)
				return 0; /* never to begin */
	}
	for (int turn = 0; turn < TURNS; turn++)
		for (int leaf = 0; leaf < LEAVES; leaf++)
			for (int state = 0; state < STATES; state++) {
				struct leaf *it = &leaves[leaf];

				call(leaf, state);
				it->calls++;
				it->changed += memcmp(&it->left[state], &found, sizeof found) ||
					       memcmp(it->scratch[state], scratch, sizeof scratch);
			}
	printf("{\"leaves\":[");
	for (int leaf = 0; leaf < LEAVES; leaf++)
		printf("%s{\"name\":\"leaf_%s\",\"key\":\"%d\",\"calls\":%ld,\"changed\":%ld}", leaf ? "," : "",
		       leaves[leaf].name, leaf, leaves[leaf].calls, leaves[leaf].changed);
	printf("]}\n");
	fflush(stdout);
	if (wait)
		getchar();
	return 0;
}
