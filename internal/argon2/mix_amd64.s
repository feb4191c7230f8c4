#include "go_asm.h"
#include "textflag.h"

// A block is 8 rows of 8 pairs of words. The permutation P of RFC 9106, section
// 3.6, takes 16 words as 8 pairs: those of a row, or a pair of each row. Here
// two of them are computed at once. Y0 to Y7 hold the pairs, one P in the lower
// half of each register, the other in the upper half:
//
//	Y0 Y1   v0 v1   v2 v3
//	Y2 Y3   v4 v5   v6 v7
//	Y4 Y5   v8 v9   v10 v11
//	Y6 Y7   v12 v13 v14 v15
//
// Y8 to Y13 are free, Y14 and Y15 hold the rotations that are whole bytes.

DATA rotate<>+0x00(SB)/8, $0x0201000706050403 // by 24 bits to the right
DATA rotate<>+0x08(SB)/8, $0x0a09080f0e0d0c0b
DATA rotate<>+0x10(SB)/8, $0x0201000706050403
DATA rotate<>+0x18(SB)/8, $0x0a09080f0e0d0c0b
DATA rotate<>+0x20(SB)/8, $0x0100070605040302 // by 16
DATA rotate<>+0x28(SB)/8, $0x09080f0e0d0c0b0a
DATA rotate<>+0x30(SB)/8, $0x0100070605040302
DATA rotate<>+0x38(SB)/8, $0x09080f0e0d0c0b0a
GLOBL rotate<>(SB), RODATA|NOPTR, $64

// ADD is x += y + 2 * low(x) * low(y), low being the lower 32 bits.
#define ADD(x0, x1, y0, y1) \
	VPMULUDQ x0, y0, Y8; \
	VPMULUDQ x1, y1, Y9; \
	VPADDQ   y0, x0, x0; \
	VPADDQ   y1, x1, x1; \
	VPADDQ   Y8, Y8, Y8; \
	VPADDQ   Y9, Y9, Y9; \
	VPADDQ   Y8, x0, x0; \
	VPADDQ   Y9, x1, x1

#define XOR(x0, x1, y0, y1) \
	VPXOR y0, x0, x0; \
	VPXOR y1, x1, x1

// GB is the function of the same name, on four columns of each P.
#define GB(a0, a1, b0, b1, c0, c1, d0, d1) \
	ADD(a0, a1, b0, b1); \
	XOR(d0, d1, a0, a1); \
	VPSHUFD $0xb1, d0, d0; \
	VPSHUFD $0xb1, d1, d1; \
	ADD(c0, c1, d0, d1); \
	XOR(b0, b1, c0, c1); \
	VPSHUFB Y14, b0, b0; \
	VPSHUFB Y14, b1, b1; \
	ADD(a0, a1, b0, b1); \
	XOR(d0, d1, a0, a1); \
	VPSHUFB Y15, d0, d0; \
	VPSHUFB Y15, d1, d1; \
	ADD(c0, c1, d0, d1); \
	XOR(b0, b1, c0, c1); \
	VPADDQ b0, b0, Y8; \
	VPADDQ b1, b1, Y9; \
	VPSRLQ $63, b0, b0; \
	VPSRLQ $63, b1, b1; \
	XOR(b0, b1, Y8, Y9)

// P is GB on the columns and then on the diagonals, which are turned into
// columns (Y10 to Y13, and Y4 and Y5 in the other order) and back.
#define P \
	GB(Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7); \
	VPALIGNR $8, Y2, Y3, Y10; \
	VPALIGNR $8, Y3, Y2, Y11; \
	VPALIGNR $8, Y7, Y6, Y12; \
	VPALIGNR $8, Y6, Y7, Y13; \
	GB(Y0, Y1, Y10, Y11, Y5, Y4, Y12, Y13); \
	VPALIGNR $8, Y11, Y10, Y2; \
	VPALIGNR $8, Y10, Y11, Y3; \
	VPALIGNR $8, Y12, Y13, Y6; \
	VPALIGNR $8, Y13, Y12, Y7

// ROWS loads the pair at off of two rows of a XOR b.
#define ROWS(off, x, y) \
	VMOVDQU     off(SI)(CX*1), x; \
	VINSERTI128 $1, (128+off)(SI)(CX*1), y, y; \
	VMOVDQU     off(DX)(CX*1), X8; \
	VINSERTI128 $1, (128+off)(DX)(CX*1), Y8, Y8; \
	VPXOR       Y8, y, y

// COLUMNS loads two pairs, which are neighbours, of one row from the scratch,
// where they stand 32 bytes apart.
#define COLUMNS(off, x, y) \
	VMOVDQU     off(R9)(CX*2), x; \
	VINSERTI128 $1, (32+off)(R9)(CX*2), y, y

// OUT writes them in their places, as XOR of all that there is.
#define OUT(off, y) \
	VPXOR   off(SI)(CX*1), y, y; \
	VPXOR   off(DX)(CX*1), y, y; \
	VPXOR   off(R8)(CX*1), y, y; \
	VMOVDQU y, off(DI)(CX*1)

#define FETCH(off) \
	PREFETCHT0 off(DX); \
	PREFETCHT0 (64+off)(DX); \
	PREFETCHT0 (128+off)(DX); \
	PREFETCHT0 (192+off)(DX)

// compress is func mix of its registers: DI out, R8 old, SI a, DX b, R9 scratch.
// It changes CX.
TEXT compress<>(SB), NOSPLIT|NOFRAME, $0-0
	// b may be anywhere, and is in no cache.
	FETCH(0)
	FETCH(256)
	FETCH(512)
	FETCH(768)
	VMOVDQU rotate<>+0x00(SB), Y14
	VMOVDQU rotate<>+0x20(SB), Y15

	XORQ CX, CX

rows:
	ROWS(0, X0, Y0)
	ROWS(16, X1, Y1)
	ROWS(32, X2, Y2)
	ROWS(48, X3, Y3)
	ROWS(64, X4, Y4)
	ROWS(80, X5, Y5)
	ROWS(96, X6, Y6)
	ROWS(112, X7, Y7)
	P
	VMOVDQU Y0, 0(R9)(CX*1)
	VMOVDQU Y1, 32(R9)(CX*1)
	VMOVDQU Y2, 64(R9)(CX*1)
	VMOVDQU Y3, 96(R9)(CX*1)
	VMOVDQU Y4, 128(R9)(CX*1)
	VMOVDQU Y5, 160(R9)(CX*1)
	VMOVDQU Y6, 192(R9)(CX*1)
	VMOVDQU Y7, 224(R9)(CX*1)
	ADDQ $256, CX
	CMPQ CX, $1024
	JNE  rows

	XORQ CX, CX

columns:
	COLUMNS(0, X0, Y0)
	COLUMNS(16, X1, Y1)
	COLUMNS(256, X2, Y2)
	COLUMNS(272, X3, Y3)
	COLUMNS(512, X4, Y4)
	COLUMNS(528, X5, Y5)
	COLUMNS(768, X6, Y6)
	COLUMNS(784, X7, Y7)
	P
	OUT(0, Y0)
	OUT(128, Y1)
	OUT(256, Y2)
	OUT(384, Y3)
	OUT(512, Y4)
	OUT(640, Y5)
	OUT(768, Y6)
	OUT(896, Y7)
	ADDQ $32, CX
	CMPQ CX, $128
	JNE  columns

	RET

// func mix(out, old, a, b, scratch *block)
TEXT ·mix(SB), NOSPLIT, $0-40
	MOVQ out+0(FP), DI
	MOVQ old+8(FP), R8
	MOVQ a+16(FP), SI
	MOVQ b+24(FP), DX
	MOVQ scratch+32(FP), R9
	CALL compress<>(SB)
	VZEROUPPER
	RET

// func write(s *segment, n int)
TEXT ·write(SB), NOSPLIT, $0-16
	MOVQ s+0(FP), BX

segments:
	MOVQ segment_to(BX), DI
	MOVQ segment_before(BX), SI
	MOVQ segment_random(BX), R12
	MOVQ segment_i(BX), R13
	MOVQ segment_scratch(BX), R9

next:
	CMPQ R13, segment_end(BX)
	JEQ  done

	// AX: the random number.
	MOVQ  (SI), AX
	TESTQ R12, R12
	JZ    lane
	MOVQ  (R12), AX
	ADDQ  $8, R12

lane:
	// R10: the lane, which the upper half of AX chooses.
	MOVL AX, R8
	MOVQ segment_lane(BX), R10
	MOVQ segment_lanes(BX), CX
	CMPQ CX, $1
	JEQ  own
	SHRQ $32, AX
	XORL DX, DX
	DIVL CX
	MOVL DX, R10

own:
	// R11: how many blocks of it there are to choose from.
	MOVQ segment_n(BX), R11
	CMPQ R10, segment_lane(BX)
	JNE  other
	LEAQ -1(R11)(R13*1), R11
	JMP  choose

other:
	CMPQ R13, $1
	SBBQ $0, R11 // one less if R13 is 0

choose:
	// R8: which one, counted from the first that there is; later ones are
	// likelier than earlier ones.
	IMULQ R8, R8
	SHRQ  $32, R8
	IMULQ R11, R8
	SHRQ  $32, R8
	SUBQ  R8, R11
	DECQ  R11
	ADDQ  segment_first(BX), R11
	MOVQ  segment_size(BX), CX
	MOVQ  R11, AX
	SUBQ  CX, AX
	CMOVQCC AX, R11

	IMULQ CX, R10
	ADDQ  R11, R10
	SHLQ  $10, R10
	ADDQ  segment_base(BX), R10
	MOVQ  R10, DX

	MOVQ    segment_old(BX), R8
	TESTQ   R8, R8
	CMOVQEQ DI, R8
	CALL    compress<>(SB)
	MOVQ    DI, SI
	ADDQ    $1024, DI
	INCQ    R13
	JMP     next

done:
	ADDQ $segment__size, BX
	DECQ n+8(FP)
	JNE  segments
	VZEROUPPER
	RET
