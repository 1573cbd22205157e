// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {FlashRepay} from "../src/FlashRepay.sol";
import {FalseAToken, FalseMarket} from "./FlashMocks.sol";
import {FlashWorld} from "./FlashWorld.sol";
import {MockToken} from "./Mocks.sol";

/// Three indebted people with standing allowances ask for what they like, over markets, aTokens and pools that are what they say or
/// not; strangers try the callback; prices, interest and mistakes go on.
contract FlashHandler is FlashWorld {
    uint256 public constant PEOPLE = 3;
    uint256 public repaid;
    uint256 public stolen;
    uint256 public lying; // usd sent here by mistake
    uint256 public lyingUnits; // scaled aTokens sent here by mistake
    FalseMarket private falseMarket;
    FalseAToken private falseToken;

    constructor() {
        world();
        falseMarket = new FalseMarket(address(aEth));
        falseToken = new FalseAToken(address(market), address(eth));
        for (uint256 i; i < PEOPLE; i++) {
            indebted(person(i), 1_000e18, 1_000_000e18, 1e30);
        }
    }

    function person(uint256 i) public pure returns (address) {
        return address(uint160(0xA000 + i));
    }

    function others(uint256 me) public view returns (uint256 sum) {
        for (uint256 i; i < PEOPLE; i++) {
            if (i == me) continue;
            sum += market.debt(person(i)) + aEth.scaled(person(i)) + usd.balanceOf(person(i));
        }
    }

    function asked(uint256 x, uint256 amount) private view returns (FlashRepay.Repayment memory r) {
        r = x & 1 == 0 ? straight(within(amount, 1, 200_000e18), within(x >> 20, 1, 200e18))
            : around(within(amount, 1, 200_000e18), within(x >> 20, 1, 200e18));
        r.leastHealth = x & 2 == 0 ? 0 : 1.05e18;
        r.deadline = block.timestamp;
    }

    /// What can work; now and then it does not.
    function good(uint256 x, uint256 amount) external {
        uint256 me = x % PEOPLE;
        uint256 had = others(me);
        FlashRepay.Repayment memory r = asked(x >> 8, amount);
        r.mostCollateral = 1_000e18;
        direct.misbehave(1, 10_000);
        market.setSkim(0);
        vm.prank(person(me));
        try flash.repay(r) {
            repaid++;
        } catch {}
        if (others(me) != had) stolen++;
    }

    function anything(uint256 x, uint256 amount) external {
        uint256 me = x % PEOPLE;
        uint256 had = others(me);
        FlashRepay.Repayment memory r = asked(x >> 8, amount);
        if (x & (1 << 80) != 0) r.aToken = address(falseToken);
        if (x & (1 << 81) != 0) r.pool = address(falseMarket);
        if (x & (1 << 82) != 0) r.tokens[0] = x & (1 << 83) != 0 ? address(aEth) : address(mid);
        if (x & (1 << 84) != 0) r.factory = person(me);
        if (x & (1 << 85) != 0) r.fees[0] = 3000;
        vm.prank(person(me));
        try flash.repay(r) {
            repaid++;
        } catch {}
        if (others(me) != had) stolen++;
    }

    function asIfAPool(uint256 x, uint256 amount) external {
        bytes memory data = abi.encode(asked(x >> 8, amount), person((x % PEOPLE + 1) % PEOPLE), (x >> 90) % 3);
        address[4] memory callers = [address(direct), address(first), address(market), person(x % PEOPLE)];
        vm.prank(callers[(x >> 100) % 4]);
        try flash.uniswapV3SwapCallback(int256(within(amount, 1, 1e18)), -1, data) {
            stolen++;
        } catch {}
    }

    function world_goes_on(uint256 x) external {
        x = uint256(keccak256(abi.encode(x)));
        market.setPrice(within(x, 1_500e18, 3_000e18));
        uint256 index = aEth.index();
        if (index < 4e27) aEth.set(index + within(x >> 64, 0, 1e24), (x >> 200) & 1 == 0);
        direct.misbehave((x >> 210) % 8 == 0 ? (x >> 214) % 3 : 1, (x >> 220) % 8 == 0 ? 9_990 : 10_000);
        market.setSkim((x >> 230) % 8 == 0 ? 1 : 0);
    }

    function byMistake(uint256 amount) external {
        amount = within(amount, 1, 1e24);
        usd.mint(address(flash), amount);
        lying += amount;
        uint256 had = aEth.scaled(address(flash));
        aEth.mint(address(flash), amount / 1e6);
        lyingUnits += aEth.scaled(address(flash)) - had;
    }

    function rest() external view returns (uint256 usd_, uint256 units, uint256 other, uint256 allowed) {
        usd_ = usd.balanceOf(address(flash));
        units = aEth.scaled(address(flash));
        other = eth.balanceOf(address(flash)) + mid.balanceOf(address(flash));
        address[3] memory spenders = [address(market), address(falseMarket), address(direct)];
        for (uint256 i; i < 3; i++) {
            allowed += usd.allowance(address(flash), spenders[i]) + eth.allowance(address(flash), spenders[i])
                + mid.allowance(address(flash), spenders[i]) + aEth.allowance(address(flash), spenders[i]);
        }
    }
}

contract FlashInvariantTest is FlashWorld {
    FlashHandler private handler;

    function setUp() public {
        handler = new FlashHandler();
    }

    function targetContracts() public view returns (address[] memory found) {
        found = new address[](1);
        found[0] = address(handler);
    }

    function invariant_nothing_stays_and_nothing_that_lay_here_leaves() public view {
        (uint256 usd_, uint256 units, uint256 other, uint256 allowed) = handler.rest();
        same(usd_, handler.lying(), "usd");
        // Where the market rounds transfers to the nearest unit, one of these may stay or go with a repayment.
        uint256 put = handler.lyingUnits();
        uint256 off = units > put ? units - put : put - units;
        isTrue(off <= handler.repaid(), "aTokens");
        same(other + allowed, 0, "rest");
    }

    function invariant_nobodys_but_the_callers_account_moves() public view {
        same(handler.stolen(), 0, "others' accounts moved");
    }

    /// The runs were not all refusals.
    function afterInvariant() public view {
        isTrue(handler.repaid() != 0, "nothing was ever repaid");
    }
}
