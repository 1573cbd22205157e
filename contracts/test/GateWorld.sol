// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.19;

import {Gate} from "../src/Gate.sol";
import {Settings} from "../src/Settings.sol";
import {Base} from "./Base.sol";
import {MockAave, MockAaveToken, MockFeed, MockRouter, MockSafe, MockToken, MockV3Pool} from "./Mocks.sol";

/// A sealed Gate of a Safe with 1,000 WETH and 1,000,000 USD, at 3,000 USD a WETH.
abstract contract GateWorld is Base {
    uint256 internal constant START = 1_800_000_000;
    address internal constant AGENT = address(0xA6E27);
    address internal constant OWNER = address(0x0E4);
    address internal constant THIEF = address(0xBAD);
    uint128 internal constant BURST = 30_000e18;
    uint128 internal constant RATE = 60_000e18;
    uint16 internal constant SLACK = 100;

    Gate internal gate;
    MockSafe internal safe;
    MockToken internal eth;
    MockToken internal usd;
    MockFeed internal ethFeed;
    MockFeed internal usdFeed;
    MockV3Pool internal pool;
    MockRouter internal router;
    MockAave internal aave;
    MockAaveToken internal aToken;
    MockAaveToken internal debtToken;

    function world() internal {
        vm.warp(START);
        address[] memory owners = new address[](1);
        owners[0] = OWNER;
        safe = new MockSafe(owners);
        gate = new Gate(address(safe));
        (eth, usd) = (new MockToken(18), new MockToken(6));
        if (address(usd) > address(eth)) {
            // Circle's USDC is below WETH, as here: token0 is USD and the tick is that of WETH units in a USD unit.
            while (address(usd) > address(eth)) usd = new MockToken(6);
        }
        (ethFeed, usdFeed) = (new MockFeed(8, 3000e8), new MockFeed(8, 1e8));
        pool = new MockV3Pool(address(usd), address(eth), 196_256); // 1.0001**196256 / 1e12 = 1 / 3000.0
        router = new MockRouter();
        aave = new MockAave();
        aave.init(eth);
        (aToken, debtToken) = (aave.aToken(), aave.debtToken());
        eth.mint(address(safe), 1_000e18);
        usd.mint(address(safe), 1_000_000e6);
        vm.deal(address(eth), 1_000e18);
        fromSafe(abi.encodeCall(Settings.setToken, (address(eth), address(ethFeed), 3600)));
        fromSafe(abi.encodeCall(Settings.setToken, (address(usd), address(usdFeed), 86_400)));
        fromSafe(abi.encodeCall(Settings.setPair, (address(usd), address(eth), address(pool), 1800, 0)));
        fromSafe(abi.encodeCall(Settings.setRoute, (address(router), MockRouter.swap.selector, 1)));
        fromSafe(abi.encodeCall(Settings.setRoute, (address(router), MockRouter.keep.selector, 2)));
        fromSafe(abi.encodeCall(Settings.setRoute, (address(router), MockRouter.settleSomethingElse.selector, 1)));
        fromSafe(abi.encodeCall(Settings.setRoute, (address(router), MockRouter.reenter.selector, 1)));
        fromSafe(abi.encodeCall(Settings.setLendingPool, (address(aave))));
        fromSafe(abi.encodeCall(Settings.setReserve, (address(eth), address(aToken), address(debtToken), 15)));
        fromSafe(abi.encodeCall(Settings.setGas, (Settings.Gas(AGENT, 0.05e18, address(eth), 0.1e18, 0.2e18))));
        fromSafe(abi.encodeCall(Settings.setLimits, (limitsNow())));
        fromSafe(abi.encodeCall(Settings.setAgent, (AGENT)));
        fromSafe(abi.encodeCall(Settings.renew, ()));
        fromSafe(abi.encodeCall(Settings.seal, (1 days)));
        allow(address(eth));
        allow(address(usd));
        allow(address(aToken));
    }

    function limitsNow() internal pure returns (Settings.Limits memory) {
        return Settings.Limits(BURST, RATE, SLACK, 200, 600, 7 days, 1.5e18);
    }

    function allow(address token) internal {
        safe.call(token, abi.encodeCall(MockToken.approve, (address(gate), type(uint256).max)));
    }

    function fromSafe(bytes memory data) internal {
        safe.call(address(gate), data);
    }

    /// Queues and waits: how the Safe widens once sealed.
    function widen(bytes memory data) internal {
        fromSafe(abi.encodeCall(Settings.queue, (data)));
        vm.warp(block.timestamp + 1 days);
        refresh();
        vm.prank(OWNER);
        gate.run(data);
    }

    function refresh() internal {
        ethFeed.set(ethFeed.answer(), block.timestamp);
        usdFeed.set(usdFeed.answer(), block.timestamp);
    }

    /// A sale of WETH whose router pays `paid` to `to` and asks for all of it.
    function sale(uint256 amount, uint256 minimum, uint256 paid, address to) internal view returns (Gate.Trade memory) {
        bytes memory data = abi.encodeCall(MockRouter.swap, (eth, usd, amount, paid, to));
        return Gate.Trade(address(eth), address(usd), amount, minimum, block.timestamp + 60, address(router), data);
    }

    function fair(uint256 amount) internal view returns (Gate.Trade memory) {
        (uint256 floor,) = gate.floorOf(address(eth), address(usd), amount);
        return sale(amount, floor, floor, address(gate));
    }

    function asAgent(Gate.Trade memory t) internal {
        vm.prank(AGENT);
        gate.trade(t);
    }

    function lendAs(uint8 action, uint256 amount) internal {
        uint256 deadline = block.timestamp + 60;
        vm.prank(AGENT);
        gate.lend(action, address(eth), amount, deadline);
    }
}
