package httpapi

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

func TestRoomIsGivenInTheOrderOfAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{size: 10}
		first, err := r.take(t.Context(), 99) // more than there is: all of it
		if first != 10 || err != nil {
			t.Fatalf("took %d, %v", first, err)
		}
		order := make(chan int64, 3)
		for _, n := range []int64{8, 1, 2} {
			go func() {
				got, err := r.take(t.Context(), n)
				if err != nil {
					t.Error(err)
				}
				order <- got
			}()
			synctest.Wait()
		}
		if _, ok := r.tryTake(0); ok {
			t.Error("somebody who does not wait overtakes those who do")
		}
		r.giveBack(first)
		synctest.Wait()
		if len(order) != 2 || <-order+<-order != 9 {
			t.Fatal("the first two are not served, or the third is, for whom there is no room")
		}
		r.giveBack(8)
		if got := <-order; got != 2 {
			t.Errorf("took %d, want 2", got)
		}
		r.giveBack(3)
		if n, ok := r.tryTake(10); !ok || n != 10 {
			t.Error("not all of the room was given back")
		}
	})
}

func TestWhoGivesUpWaitingHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{size: 10}
		if _, err := r.take(t.Context(), 6); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp, served := make(chan error, 1), make(chan error, 1)
		go func() { _, err := r.take(ctx, 7); gaveUp <- err }()
		synctest.Wait()
		go func() { _, err := r.take(t.Context(), 2); served <- err }()
		synctest.Wait()
		if len(served) != 0 {
			t.Error("the second overtook the first")
		}
		cancel()
		if err := <-gaveUp; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
		if r.taken != 8 {
			t.Errorf("%d bytes are taken, want 8", r.taken)
		}
	})
}
