// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Gate} from "../src/Gate.sol";
import {Offers} from "../src/Offers.sol";
import {Settings} from "../src/Settings.sol";
import {IOffers} from "../src/interfaces.sol";
import {Full, OfferWorld} from "./OfferWorld.sol";
import {Base} from "./Base.sol";
import {MockRouter, MockToken} from "./Mocks.sol";

/// A thief with the agent's key and a place among the solvers: he offers at the floor, settles at the limit whenever the
/// price has moved his way, ends and offers again, and trades in between.
contract Solver is OfferWorld {
    struct Fill {
        uint256 at;
        uint256 usd;
    }

    Fill[] public fills;
    int256 public lost; // 1e18 USD at the feed's prices of each moment
    uint256 public allowedLoss;
    uint256 public misplaced;
    IOffers.Order[2] private _orders; // the last that sold WETH, and the last that sold USD

    constructor() {
        offerWorld();
    }

    function count() external view returns (uint256) {
        return fills.length;
    }

    function offerIt(uint96 amount, bool selling, bool buys, bool parts, uint16 life) external {
        (MockToken a, MockToken b) = selling ? (eth, usd) : (usd, eth);
        uint256 left = gate.budgetLeft() * 50 / 51;
        uint256 amountIn = within(amount, 1, (selling ? left / 3000 : left / 1e12) + 2);
        try gate.floorOf(address(a), address(b), amountIn) returns (uint256 floor, uint256) {
            uint256 asked = life % 5 == 4 ? floor - 1 : floor;
            uint32 validTo = uint32(block.timestamp + life % 700);
            IOffers.Order memory o =
                IOffers.Order(address(a), address(b), uint128(amountIn), uint128(asked), validTo, buys, parts);
            vm.prank(AGENT);
            try gate.offer(o) {
                _orders[selling ? 0 : 1] = o;
                if (asked < floor || validTo > block.timestamp + 600) misplaced++;
            } catch {}
        } catch {}
    }

    function settleIt(bool selling, uint96 share, uint8 trick) external {
        IOffers.Order memory o = _orders[selling ? 0 : 1];
        if (o.sellAmount == 0) return;
        uint256 sold = o.partiallyFillable ? within(share, 1, o.sellAmount) : o.sellAmount;
        uint256 bought = o.buys && !o.partiallyFillable ? o.buyAmount : (sold * o.buyAmount + o.sellAmount - 1) / o.sellAmount;
        if (bought == 0) return;
        Full memory f = full(o);
        if (trick % 7 == 6) f.receiver = THIEF;
        if (trick % 7 == 5) bought--;
        uint256 wasWorth = worthOfAll();
        (uint256 usdNow,) = value(o.sellToken, sold);
        try settlement.settle(address(offers), f, sold, bought, address(0), "") {
            fills.push(Fill(block.timestamp, usdNow));
            lost += int256(wasWorth) - int256(worthOfAll());
            allowedLoss += usdNow * SLACK / 10_000 + 1e13;
            if (trick % 7 > 4 || block.timestamp > gate.expiry() || gate.frozen()) misplaced++;
        } catch {}
    }

    function endIt(bool selling, uint8 who) external {
        uint256 had = worthOfAll();
        vm.prank([AGENT, OWNER, THIEF][who % 3]);
        address token = address(selling ? eth : usd);
        if (who % 3 == 0) {
            try gate.endOffer(token, block.timestamp) {} catch {}
        } else {
            try offers.end(token) {} catch {}
        }
        if (worthOfAll() < had) misplaced++;
    }

    function tradeToo(uint96 amount) external {
        uint256 amountIn = within(amount, 1, 3e18);
        try gate.floorOf(address(eth), address(usd), amountIn) returns (uint256 floor, uint256 usd_) {
            bytes memory data = abi.encodeCall(MockRouter.swap, (eth, usd, amountIn, floor, address(gate)));
            Gate.Trade memory t = Gate.Trade(address(eth), address(usd), amountIn, floor, block.timestamp, address(router), data);
            uint256 wasWorth = worthOfAll();
            vm.prank(AGENT);
            try gate.trade(t) {
                fills.push(Fill(block.timestamp, usd_));
                lost += int256(wasWorth) - int256(worthOfAll());
                allowedLoss += usd_ * SLACK / 10_000 + 1e13;
            } catch {}
        } catch {}
    }

    function straight(uint8 kind, uint96 amount) external {
        address token = address(kind % 2 == 0 ? eth : usd);
        uint256 had = worthOfAll();
        vm.prank(THIEF);
        (bool ok,) = token.call(abi.encodeCall(MockToken.transferFrom, (address(offers), THIEF, within(amount, 1, 1e18))));
        if (ok || worthOfAll() != had) misplaced++;
    }

    function wait(uint16 time) external {
        vm.warp(block.timestamp + within(time, 1, 20 minutes));
        refresh();
        if (block.timestamp > gate.expiry()) fromSafe(abi.encodeCall(Settings.renew, ()));
    }

    function drift(uint16 cents, int8 tick) external {
        ethFeed.set(int256(within(cents, 2_940e8, 3_080e8)), block.timestamp);
        pool.set(196_256 + int56(tick), 0);
    }

    /// Of the Safe, and what lies in Offers for it.
    function worthOfAll() public view returns (uint256) {
        uint256 eth_ = eth.balanceOf(address(safe)) + eth.balanceOf(address(offers));
        uint256 usd_ = usd.balanceOf(address(safe)) + usd.balanceOf(address(offers));
        return eth_ * uint256(ethFeed.answer()) / 1e8 + usd_ * 1e12;
    }

    function value(address token, uint256 amount) private view returns (uint256, uint256) {
        if (token == address(eth)) return (amount * uint256(ethFeed.answer()) / 1e8, 0);
        return (amount * 1e12, 0);
    }

    /// The relayer may take no more than the one live order's amount, and nothing of what is the Safe's or the Gate's.
    function allowancesFit() external view returns (bool) {
        MockToken[2] memory both = [eth, usd];
        for (uint256 i; i < 2; i++) {
            (,,,, uint128 sells,,,) = offers.live(address(both[i]));
            if (both[i].allowance(address(offers), relayer) > sells) return false;
            if (both[i].allowance(address(safe), relayer) + both[i].allowance(address(gate), relayer) != 0) return false;
            if (both[i].balanceOf(address(gate)) != 0) return false;
        }
        return true;
    }
}

contract OffersInvariantTest is Base {
    Solver private solver;

    function setUp() public {
        solver = new Solver();
    }

    function targetContracts() external view returns (address[] memory all) {
        all = new address[](1);
        all[0] = address(solver);
    }

    function testHeDoesOfferAndSettle() public {
        solver.offerIt(1e18, true, false, true, 300);
        solver.settleIt(true, 0.25e18, 0);
        solver.settleIt(true, 0.5e18, 5);
        solver.settleIt(true, 0.5e18, 0);
        solver.tradeToo(1e18);
        same(solver.count(), 3, "two settlements and a trade");
        isTrue(solver.lost() > 0, "at the floor");
    }

    /// Fills come up to a deadline after their charge: burst, and the rate for the window and that deadline.
    function invariant_NoWindowHoldsMoreThanItsBudget() public view {
        uint256 count = solver.count();
        for (uint256 i; i < count; i++) {
            (uint256 from,) = solver.fills(i);
            uint256 sum;
            for (uint256 j = i; j < count; j++) {
                (uint256 at, uint256 usd_) = solver.fills(j);
                sum += usd_;
                isTrue(sum <= 30_000e18 + 60_000e18 * (at - from + 600) / 1 days + 1e13, "a window");
            }
        }
    }

    function invariant_TheLossIsTheSlackOfWhatWasSettled() public view {
        isTrue(solver.lost() <= int256(solver.allowedLoss()), "more than the slack was lost");
    }

    function invariant_OrdersAreTheGatesAndMoneyGoesHome() public view {
        same(solver.misplaced(), 0, "an order, a fill or an end that should not have been");
        isTrue(solver.allowancesFit(), "an allowance beyond the live order");
    }
}
