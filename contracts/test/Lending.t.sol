// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Gate} from "../src/Gate.sol";
import {Prices} from "../src/Prices.sol";
import {Settings} from "../src/Settings.sol";
import {GateWorld} from "./GateWorld.sol";

contract GateLendingTest is GateWorld {
    uint8 private constant SUPPLY = 1;
    uint8 private constant WITHDRAW = 2;
    uint8 private constant BORROW = 4;
    uint8 private constant REPAY = 8;

    function setUp() public {
        world();
        lendAs(SUPPLY, 20e18);
    }

    function testSuppliedToTheSafesOwnAccount() public view {
        same(aToken.balanceOf(address(safe)), 20e18, "aTokens");
        same(eth.balanceOf(address(safe)), 980e18, "paid");
        same(eth.allowance(address(gate), address(aave)), 0, "no allowance");
        same(gate.budgetLeft(), BURST, "supplying costs no budget");
    }

    function testWithdrawnToTheSafe() public {
        lendAs(WITHDRAW, 5e18);
        same(eth.balanceOf(address(safe)), 985e18, "came back");
        same(aToken.balanceOf(address(safe)), 15e18, "aTokens");
        same(aToken.balanceOf(address(gate)), 0, "none here");
        same(gate.budgetLeft(), BURST - 15_000e18, "withdrawing costs budget");
    }

    function testBorrowedAndRepaid() public {
        lendAs(BORROW, 8e18); // 20 * 0.8 / 8 = 2
        same(eth.balanceOf(address(safe)), 988e18, "borrowed");
        same(gate.budgetLeft(), BURST - 24_000e18, "borrowing costs budget");
        lendAs(REPAY, 10e18);
        same(debtToken.balanceOf(address(safe)), 0, "all repaid");
        same(eth.balanceOf(address(safe)), 980e18, "and what was too much is back");
        same(eth.allowance(address(gate), address(aave)), 0, "no allowance");
    }

    function testHealthIsTheOwnersFloorOrNoLowerThanBefore() public {
        aToken.burn(address(safe), 10e18);
        bytes4 rule = Gate.HealthLowered.selector;
        vm.expectRevert(abi.encodeWithSelector(rule, type(uint256).max, uint256(8e36) / 5.34e18, 1.5e18));
        this.lendExternally(BORROW, 5.34e18);
        lendAs(BORROW, 5.33e18);
    }

    function testBelowTheFloorOnlyBetterWillDo() public {
        lendAs(BORROW, 8e18);
        aToken.burn(address(safe), 10e18); // health 1.0
        vm.expectRevert(abi.encodeWithSelector(Gate.HealthLowered.selector, 1e18, 0.9e18, 1.5e18));
        this.lendExternally(WITHDRAW, 1e18);
        lendAs(SUPPLY, 1e18);
        lendAs(REPAY, 1e18);
    }

    function testARescueNeedsNeitherPriceNorBudget() public {
        lendAs(BORROW, 8e18);
        lendAs(WITHDRAW, 2e18);
        vm.warp(block.timestamp + 5 hours); // the feed is stale
        lendAs(SUPPLY, 50e18);
        lendAs(REPAY, 8e18);
        vm.expectPartialRevert(Prices.PriceStale.selector);
        this.lendExternally(WITHDRAW, 1e18);
    }

    function testRiskIsInsideTheBudget() public {
        vm.expectPartialRevert(Gate.OverBudget.selector);
        this.lendExternally(WITHDRAW, 10.1e18);
    }

    function testWhatIsNotAllowed() public {
        uint8[5] memory actions = [0, 3, 6, 16, 255];
        for (uint256 i; i < 5; i++) {
            vm.expectPartialRevert(Gate.ReserveNotListed.selector);
            this.lendExternally(actions[i], 1e18);
        }
        fromSafe(abi.encodeCall(Settings.setReserve, (address(eth), address(aToken), address(debtToken), 9)));
        vm.expectPartialRevert(Gate.ReserveNotListed.selector);
        this.lendExternally(BORROW, 1e18);
        vm.expectPartialRevert(Gate.AmountOutOfRange.selector);
        this.lendExternally(SUPPLY, 0);
        vm.expectRevert(abi.encodeWithSelector(Gate.AmountOutOfRange.selector, uint256(1) << 128));
        this.lendExternally(SUPPLY, 1 << 128);
        vm.expectPartialRevert(Settings.NotTheAgent.selector);
        gate.lend(SUPPLY, address(eth), 1, block.timestamp);
        vm.expectPartialRevert(Gate.ReserveNotListed.selector);
        vm.prank(AGENT);
        gate.lend(SUPPLY, address(usd), 1, block.timestamp);
    }

    function testAPoolThatKeepsSomething() public {
        lendAs(BORROW, 1e18);
        aave.setSkim(3);
        vm.expectPartialRevert(Gate.ReceivedBelowMinimum.selector);
        this.lendExternally(SUPPLY, 1e18);
        vm.expectPartialRevert(Gate.ReceivedBelowMinimum.selector);
        this.lendExternally(WITHDRAW, 1e18);
        vm.expectPartialRevert(Gate.ReceivedBelowMinimum.selector);
        this.lendExternally(BORROW, 1e18);
        vm.expectPartialRevert(Gate.ReceivedBelowMinimum.selector);
        this.lendExternally(REPAY, 1e18);
    }

    /// A call of its own, so that a revert expected is this one's.
    function lendExternally(uint8 action, uint256 amount) external {
        lendAs(action, amount);
    }
}
